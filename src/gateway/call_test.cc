// What a call does beside routing: admission by priority, headers that go through, what an
// idempotency key allows.
#include <gtest/gtest.h>

#include "gateway/config_models.h"
#include "gateway/config_reader.h"
#include "gateway/gateway_testing.h"

namespace weir::gateway {
namespace {

using http::TestClient;

constexpr std::string_view kChat =
    R"({"model":"chat","messages":[{"role":"user","content":"hi"}]})";

std::string priority(int p) { return "x-weir-priority: " + std::to_string(p) + "\r\n"; }

class CallTest : public GatewayTest {
 protected:
  // One upstream that takes 300 ms for an answer.
  void start_slow(const std::string& shed) {
    FakeUpstream& u = add("one", "slow");
    start_yaml(
        "listen: {port: 0}\npriorities: {header: x-weir-priority}\nupstreams: {pods: "
        "{endpoints: [\"" +
        u.url() + "\"]}}\nmodels: {chat: {shed: {" + shed + "}, targets: [{upstream: pods}]}}\n");
  }
  std::unique_ptr<TestClient> send(const std::string& fields) {
    auto client = std::make_unique<TestClient>(gateway_->port());
    EXPECT_TRUE(client->send(post(std::string(kChat), fields)));
    return client;
  }
  void wait_for(int requests) {
    EXPECT_TRUE(http::eventually([&] { return upstreams_[0]->requests() >= requests; }));
  }
};

// The less important may use 6 of 10 places, the most important all; the rest hears no at once.
TEST_F(CallTest, TheLeastImportantAreShedFirst) {
  start_slow("max_in_flight: 10, max_queued: 0");
  std::vector<std::unique_ptr<TestClient>> in;
  for (int i = 0; i < 6; ++i) in.push_back(send(priority(3)));
  wait_for(6);
  const auto begin = std::chrono::steady_clock::now();
  const http::Response shed = ask(std::string(kChat), priority(3));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(250));
  EXPECT_EQ(shed.status, 503);
  EXPECT_NE(shed.body.find("server_overloaded"), std::string::npos) << shed.body;
  EXPECT_TRUE(shed.headers.contains("retry-after"));
  for (int i = 0; i < 4; ++i) in.push_back(send(priority(0)));
  for (const auto& client : in) {
    const auto r = client->read_response();
    EXPECT_TRUE(r.has_value() && r->status == 200);
  }
  EXPECT_EQ(metric(R"(weir_gateway_shed_total{reason="queue_full"})"), "1");
  EXPECT_EQ(metric(R"(weir_gateway_requests_total{end="shed"})"), "1");
  EXPECT_EQ(ask(std::string(kChat), priority(3)).status, 200) << "the places are free again";
}

TEST_F(CallTest, WhoWaitsIsLetInByImportance) {
  start_slow("max_in_flight: 1, max_queued: 2");
  const auto first = send(priority(0));
  wait_for(1);
  const auto low = send(priority(3));
  const auto also = send(priority(2));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto high = send(priority(0));  // takes the place of the least important one
  const auto displaced = low->read_response();
  ASSERT_TRUE(displaced.has_value());
  EXPECT_EQ(displaced->status, 503);
  for (TestClient* client : {first.get(), high.get(), also.get()}) {
    const auto r = client->read_response();
    EXPECT_TRUE(r.has_value() && r->status == 200);
  }
  EXPECT_EQ(upstreams_[0]->requests(), 3);
}

TEST_F(CallTest, WhoWaitsTooLongOrLeavesIsNotAskedFor) {
  start_slow("max_in_flight: 1, max_queued: 5, max_wait_ms: 60");
  const auto first = send(priority(0));
  wait_for(1);
  { const auto gone = send(priority(0)); }
  const http::Response late = ask(std::string(kChat), priority(0));
  EXPECT_EQ(late.status, 503) << late.body;
  const auto r = first->read_response();
  EXPECT_TRUE(r.has_value() && r->status == 200);
  EXPECT_TRUE(http::eventually([&] { return metric("weir_gateway_in_flight") == "0"; }));
  EXPECT_EQ(upstreams_[0]->requests(), 1);
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
}

PriorityConfig priorities(const std::string& text, config::Problems& problems) {
  const Environment none;
  Reading reading(problems);
  return read_priorities(ConfigReader(none, reading), *config::parse_yaml(text, "g.yaml"));
}

TEST(Priorities, AKeyBoundsWhatItsClientSays) {
  config::Problems problems("g.yaml");
  const PriorityConfig p = priorities(
      "default: 1\nheader: x-p\ntenants: {acme: 0, nightly: 3}\nkeys: {k2: 2}\n", problems);
  ASSERT_TRUE(problems.empty()) << problems.error().message;
  const auto said = [](const char* value) { return http::Headers{{"x-p", value}}; };
  EXPECT_EQ(p.of("", "", {}), 1U);
  EXPECT_EQ(p.of("", "", said("0")), 0U);
  EXPECT_EQ(p.of("other", "k1", said("0")), 1U) << "not more than its key's";
  EXPECT_EQ(p.of("acme", "k1", {}), 0U);
  EXPECT_EQ(p.of("acme", "k1", said("2")), 2U);
  EXPECT_EQ(p.of("acme", "k2", {}), 2U);
  EXPECT_EQ(p.of("nightly", "k1", said("0")), 3U);
  for (const char* nonsense : {"", "4", "-1", "00", "high"})
    EXPECT_EQ(p.of("acme", "k1", said(nonsense)), 0U) << nonsense;
}

TEST(Priorities, MistakesAreNamedWithTheirLine) {
  const std::pair<const char*, const char*> rows[] = {
      {"default: 4", "g.yaml:1: priorities.default must be 0"},
      {"tenants: [a]", "priorities.tenants must be a map"},
      {"default: 1\nkeys: {k: x}", "g.yaml:2: priorities.keys.k must be 0"},
      {"header: \"a b\"", "priorities.header must be the name of a header"},
      {"tenant: {}", "the nearest is \"tenants\""},
      {"[]", "priorities must be a map"}};
  for (const auto& [text, what] : rows) {
    config::Problems problems("g.yaml");
    (void)priorities(text, problems);
    ASSERT_FALSE(problems.empty()) << text;
    EXPECT_NE(problems.error().message.find(what), std::string::npos) << problems.error().message;
  }
}

TEST_F(CallTest, WhatOfAnAnswersHeadersGoesThrough) {
  auto server = http::Server::start(
      {},
      [](const http::Request&, http::ResponseWriter writer) {
        http::Response r = http::json_response(409, R"({"error":{"message":"busy"}})");
        r.headers.set("Retry-After", "3");
        r.headers.set("x-request-id", "up-1");
        r.headers.set("x-ratelimit-remaining-requests", "1");
        r.headers.set("anthropic-ratelimit-requests-remaining", "1");
        r.headers.set("openai-organization", "org-secret");
        r.headers.set("set-cookie", "a=b");
        writer.send(std::move(r));
      },
      {}, clock_);
  ASSERT_TRUE(server.ok());
  start_yaml("listen: {port: 0}\nupstreams: {pods: {endpoints: [\"http://127.0.0.1:" +
             std::to_string((*server)->port()) +
             "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  const http::Response r = ask(std::string(kChat));
  EXPECT_EQ(r.status, 409);
  EXPECT_EQ(r.headers.find("retry-after"), "3");
  EXPECT_EQ(r.headers.find("x-weir-upstream-request-id"), "up-1");
  for (const char* name : {"x-ratelimit-remaining-requests", "openai-organization", "set-cookie",
                           "anthropic-ratelimit-requests-remaining"})
    EXPECT_FALSE(r.headers.contains(name)) << name;
  gateway_.reset();
  (*server)->stop();
}

TEST_F(CallTest, WhatOfARequestsHeadersGoesOn) {
  const std::string fields =
      "anthropic-version: 2024-01-01\r\nanthropic-beta: a-1,b-2\r\nopenai-organization: org\r\n"
      "openai-project: p\r\n";
  for (const bool passed : {false, true}) {
    upstreams_.clear();
    FakeUpstream& u = add("one", "status-400");
    start_yaml("listen: {port: 0}\nupstreams: {pods: {engine: anthropic, pass_anthropic_headers: " +
               std::string(passed ? "true" : "false") + ", endpoints: [\"" + u.url() +
               "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
    const std::string body =
        R"({"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})";
    TestClient client(gateway_->port());
    const auto r = client.exchange(post(body, fields, "/v1/messages"));
    ASSERT_TRUE(r.has_value());
    http::Request seen = u.last();
    EXPECT_EQ(seen.headers.find("anthropic-version"), passed ? "2024-01-01" : "2023-06-01");
    EXPECT_EQ(seen.headers.find("anthropic-beta").value_or(""), passed ? "a-1,b-2" : "");
    // Those of a client of the other protocol mean nothing there.
    ask(std::string(kChat), fields);
    seen = u.last();
    EXPECT_EQ(seen.headers.find("anthropic-version"), "2023-06-01");
    for (const char* name : {"anthropic-beta", "openai-organization", "openai-project"})
      EXPECT_FALSE(seen.headers.contains(name)) << name;
    gateway_.reset();
  }
}

TEST_F(CallTest, TheFileSaysHowAnUpstreamIsTold) {
  FakeUpstream& u = add("one", "status-400");
  start_yaml(
      "listen: {port: 0}\nupstreams: {pods: {engine: anthropic, translate: {default_max_tokens: "
      "77, "
      "sampling: all, drop_unsupported: true}, endpoints: [\"" +
      u.url() + "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  ask(R"({"model":"chat","temperature":0.5,"n":2,"messages":[{"role":"user","content":"hi"}]})");
  const std::string body = u.last().body;
  EXPECT_NE(body.find("\"max_tokens\":77"), std::string::npos) << body;
  EXPECT_NE(body.find("\"temperature\":0.5"), std::string::npos) << body;
}

// Where generation may not run twice by itself, a key with which the client says so may.
TEST_F(CallTest, AnIdempotencyKeyAllowsARetry) {
  FakeUpstream& bad = add("bad", "status-500");
  FakeUpstream& good = add("good");
  start_yaml("listen: {port: 0}\nidempotency: {enabled: true}\nupstreams: {pods: {endpoints: [\"" +
             bad.url() + "\", \"" + good.url() +
             "\"], breaker: {in_a_row: 0, failure_rate: 2}, outlier: {consecutive_failures: 0}}}\n"
             "models: {chat: {policy: round_robin, retries: {rerun_generation: false}, targets: "
             "[{upstream: pods}]}}\n");
  int refused = 0;
  for (int i = 0; i < 6; ++i) refused += ask(std::string(kChat)).status == 502 ? 1 : 0;
  EXPECT_GE(refused, 1);
  const int before = bad.requests();
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(ask(std::string(kChat), "Idempotency-Key: k" + std::to_string(i) + "\r\n").status,
              200);
  EXPECT_GT(bad.requests(), before);
}

// A pool of OpenAI's kind, and behind it one that has nothing like `n`.
class UntoldTest : public GatewayTest {
 protected:
  void start_pools(const std::string& model, const std::string& more = "") {
    const std::string calm =
        ", breaker: {in_a_row: 0, failure_rate: 2}, outlier: {consecutive_failures: 0}}\n";
    std::string yaml =
        "listen: {port: 0}\nupstreams:\n  pods: {endpoints: [\"" + upstreams_[0]->url() + "\"]" +
        calm + "  other: {engine: anthropic, endpoints: [\"" + upstreams_[1]->url() + "\"]" + calm;
    if (upstreams_.size() > 2)
      yaml += "  last: {endpoints: [\"" + upstreams_[2]->url() + "\"]" + calm;
    start_yaml(yaml + "models: {chat: {" + model +
               "targets: [{upstream: pods}, {upstream: other, " + "tier: 1}" + more + "]}}\n");
  }
  static constexpr std::string_view kTwo =
      R"({"model":"chat","n":2,"messages":[{"role":"user","content":"hi"}]})";
};

TEST_F(UntoldTest, AHedgeThatCannotBeToldIsDropped) {
  FakeUpstream& u = add("one");
  FakeUpstream& other = add("other", "hang");
  start_pools("hedge: {enabled: true, min_samples: 1, budget_ratio: 1}, ");
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ask(std::string(kStream)).status, 200);
  u.behave("slow");
  const http::Response r =
      ask(R"({"model":"chat","n":2,"stream":true,"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(r.status, 200) << r.body;
  EXPECT_NE(r.body.find("[DONE]"), std::string::npos) << r.body;
  EXPECT_EQ(other.requests(), 0);
  EXPECT_EQ(metric(R"(weir_gateway_hedges_total{decision="no_endpoint"})"), "1");
  EXPECT_EQ(metric("weir_gateway_in_flight"), "0");
}

TEST_F(UntoldTest, AFallbackThatCannotBeToldIsPassedOver) {
  add("one", "status-500");
  FakeUpstream& other = add("other");
  add("last");
  start_pools("", ", {upstream: last, tier: 2}");
  EXPECT_EQ(ask(std::string(kTwo)).status, 200);
  EXPECT_EQ(other.requests(), 0);
}

TEST_F(UntoldTest, WithoutAnotherTheFirstIsTriedAgainOrItsEndIsTold) {
  FakeUpstream& u = add("one", "status-500");
  add("other");
  start_pools("retries: {max_attempts: 2}, ");
  const http::Response r = ask(std::string(kTwo));
  EXPECT_EQ(r.status, 502) << r.body;
  EXPECT_EQ(u.requests(), 2);
}

TEST_F(UntoldTest, WhatNobodyCanBeToldIsRefused) {
  add("one");
  add("other");
  start_yaml("listen: {port: 0}\nupstreams: {pods: {engine: anthropic, endpoints: [\"" +
             upstreams_[0]->url() + "\", \"" + upstreams_[1]->url() +
             "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  const http::Response r = ask(std::string(kTwo));
  EXPECT_EQ(r.status, 400);
  EXPECT_NE(r.body.find("has no equivalent"), std::string::npos) << r.body;
  EXPECT_EQ(upstreams_[0]->requests() + upstreams_[1]->requests(), 0);
}

}  // namespace
}  // namespace weir::gateway
