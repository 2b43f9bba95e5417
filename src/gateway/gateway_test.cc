// The gateway over loopback, in front of upstreams that answer well or badly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "access/keys_file.h"
#include "gateway/gateway_testing.h"
#include "gateway/upstream_error.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

using ::testing::HasSubstr;

TEST_F(GatewayTest, ForwardsAnAnswer) {
  FakeUpstream& u = add("one");
  start();
  const http::Response r = ask(std::string(kChat),
                               "x-request-id: abc\r\nAuthorization: Bearer mine\r\n"
                               "x-gateway-destination-endpoint: 10.0.0.1:80\r\nTE: trailers\r\n");
  EXPECT_EQ(r.status, 200);
  EXPECT_NE(r.body.find("\"one\""), std::string::npos) << r.body;
  EXPECT_EQ(r.headers.find("x-weir-upstream"), "pods");
  EXPECT_EQ(r.headers.find("x-weir-attempts"), "1");
  const http::Request seen = u.last();
  EXPECT_EQ(seen.body, kChat);
  EXPECT_EQ(seen.headers.find("x-request-id"), "abc");
  // Neither a client's key nor where it would like to be sent.
  for (const char* name : {"authorization", "te", "x-gateway-destination-endpoint"})
    EXPECT_FALSE(seen.headers.contains(name)) << name;
  EXPECT_TRUE(seen.headers.contains("x-weir-deadline-ms"));
}

TEST_F(GatewayTest, StreamsAsItComes) {
  add("one");
  start();
  const http::Response r = ask(std::string(kStream));
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.headers.find("content-type"), "text/event-stream");
  EXPECT_NE(r.body.find("from one"), std::string::npos);
  EXPECT_TRUE(r.body.ends_with("data: [DONE]\n\n")) << r.body;
}

// As clients do that close behind [DONE], before the upstream has ended its side.
TEST_F(GatewayTest, AClientThatHasAllOfAStreamMayGo) {
  FakeUpstream& u = add("one", "linger");
  start();
  {
    TestClient client(gateway_->port());
    client.send(post(std::string(kStream)));
    ASSERT_TRUE(client.read_head().has_value());
    std::string seen;
    while (seen.find("[DONE]") == std::string::npos) seen += client.read_chunk().value_or("[DONE]");
    EXPECT_NE(seen.find("from one"), std::string::npos);
  }
  const std::string answered = "weir_gateway_requests_total{end=\"answered\"}";
  for (int i = 0; i < 200 && metric(answered).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(metric(answered), "1");
  EXPECT_EQ(metric("weir_gateway_requests_total{end=\"client_gone\"}"), "");
  EXPECT_EQ(u.gone(), 0);
}

TEST_F(GatewayTest, TheUpstreamsNameOfTheModelIsSent) {
  FakeUpstream& u = add("one");
  start();
  EXPECT_EQ(ask(R"({"temperature":0.10,"model":"renamed","prompt":"a"})").status, 200);
  EXPECT_EQ(u.last().body, R"({"temperature":0.10,"model":"ok","prompt":"a"})");
}

TEST_F(GatewayTest, WhatFailsBeforeTheFirstByteIsTriedElsewhere) {
  for (const std::string how : {"status-500", "status-503", "status-429", "reset", "malformed"}) {
    for (const std::string_view body : {kChat, kStream}) {
      upstreams_.clear();
      FakeUpstream& bad = add("bad", how);
      FakeUpstream& good = add("good");
      start("policy: round_robin, ");
      int asked = 0;
      while (bad.requests() == 0 && asked++ < 4) {
        const http::Response r = ask(std::string(body));
        EXPECT_EQ(r.status, 200) << how;
        EXPECT_NE(r.body.find("good"), std::string::npos) << how << r.body;
      }
      EXPECT_GE(bad.requests(), 1) << how;
      EXPECT_GE(good.requests(), 1) << how;
      gateway_.reset();
    }
  }
}

TEST_F(GatewayTest, ADeadUpstreamIsNotWaitedFor) {
  {
    FakeUpstream dead;
    upstreams_.clear();
    const std::string url = dead.url();
    add("good");
    start_yaml("listen: {port: 0}\nupstreams: {pods: {endpoints: [\"" + url + "\", \"" +
               upstreams_[0]->url() + "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(std::string(kChat)).status, 200);
}

TEST_F(GatewayTest, NoAnswerAtAllIsNamed) {
  const std::tuple<std::string, int, std::string> rows[] = {
      {"status-500", 502, "upstream_error"},
      {"status-429", 503, "upstream_overloaded"},
      {"malformed", 502, "upstream_error"},
      {"hang", 504, "upstream_timeout"}};
  for (const auto& [how, status, code] : rows) {
    upstreams_.clear();
    add("bad", how);
    start("timeouts: {first_byte_ms: 100}, slo: {first_byte_ms: 5},");
    const http::Response r = ask(std::string(kChat));
    EXPECT_EQ(r.status, status) << how << r.body;
    EXPECT_NE(r.body.find(code), std::string::npos) << r.body;
    EXPECT_EQ(r.body.find("127.0.0.1"), std::string::npos) << r.body;
    if (status == 503) {
      EXPECT_EQ(r.headers.find("retry-after"), "7");
    }
    gateway_.reset();
  }
}

TEST_F(GatewayTest, ACutStreamEndsWithAnErrorAndWithoutDone) {
  for (const std::string how : {"cut", "unfinished"}) {
    upstreams_.clear();
    add("bad", how);
    start();
    const http::Response r = ask(std::string(kStream));
    EXPECT_EQ(r.status, 200);
    EXPECT_NE(r.body.find("Hello "), std::string::npos) << r.body;
    EXPECT_NE(r.body.find("upstream_error"), std::string::npos) << r.body;
    EXPECT_EQ(r.body.find("[DONE]"), std::string::npos) << r.body;
    gateway_.reset();
  }
}

TEST_F(GatewayTest, WhatTheUpstreamRefusesGoesToTheClient) {
  FakeUpstream& u = add("strict", "status-400");
  add("other", "status-400");
  start();
  const http::Response r = ask(std::string(kChat));
  EXPECT_EQ(r.status, 400);
  EXPECT_NE(r.body.find("\"no\""), std::string::npos);
  EXPECT_LE(u.requests(), 1) << "a bad request stays bad elsewhere";
}

TEST_F(GatewayTest, A404OfNoApiIsTheBasePathsFaultAndNotTheModels) {
  FakeUpstream& u = add("one", "nowhere");
  start();
  log_.set_level(telemetry::LogLevel::kWarn);
  int asked = 0;
  for (const char* how : {"nowhere", "nowhere-page"}) {
    u.behave(how);
    for (const std::string_view body : {kChat, kStream}) {
      const http::Response r = ask(std::string(body));
      EXPECT_EQ(r.status, 502);
      EXPECT_NE(r.body.find("check the base path"), std::string::npos) << r.body;
      EXPECT_NE(r.body.find("upstream_error"), std::string::npos) << r.body;
      EXPECT_EQ(r.body.find("model_not_found"), std::string::npos) << r.body;
      EXPECT_EQ(r.body.find(u.url()), std::string::npos) << "clients are told no addresses";
      EXPECT_EQ(u.requests(), ++asked) << "tried once, as any 404";
    }
  }
  const std::string said = logged("upstream_url_not_found");
  EXPECT_NE(said.find("url=" + u.url() + " path=/v1/chat/completions"), std::string::npos) << said;
  TestClient client(gateway_->port());
  const auto r = client.exchange(
      post(R"({"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})", "",
           "/v1/messages"));
  EXPECT_EQ(r->status, 502);
  EXPECT_NE(r->body.find(R"("type":"api_error")"), std::string::npos) << r->body;
}

TEST_F(GatewayTest, A404OfTheApiGoesToTheClient) {
  add("one", "status-404");
  start();
  const http::Response r = ask(std::string(kChat));
  EXPECT_EQ(r.status, 404);
  EXPECT_NE(r.body.find(R"("code":"c")"), std::string::npos) << r.body;
}

TEST_F(GatewayTest, AClientThatLeavesIsLeft) {
  FakeUpstream& u = add("bad", "hang");
  start();
  {
    TestClient client(gateway_->port());
    ASSERT_TRUE(client.send(post(std::string(kChat))));
    ASSERT_TRUE(http::eventually([&] { return u.requests() == 1; }));
  }
  EXPECT_TRUE(http::eventually([&] { return u.gone() == 1; }));
  EXPECT_TRUE(http::eventually([&] { return metric("weir_gateway_in_flight") == "0"; }));
}

TEST_F(GatewayTest, TheClientsDeadlineHolds) {
  add("bad", "hang");
  start();
  const auto begin = std::chrono::steady_clock::now();
  const http::Response r = ask(std::string(kChat), "x-weir-deadline-ms: 150\r\n");
  EXPECT_EQ(r.status, 504) << r.body;
  EXPECT_NE(r.body.find("the client's deadline of 150 ms ended the wait"), std::string::npos)
      << r.body;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

// What an upstream refused by, and which path nobody knows.
TEST_F(GatewayTest, TheLogSaysWhy) {
  FakeUpstream& u = add("one", "status-400");
  log_.set_level(telemetry::LogLevel::kInfo);
  start();
  const auto line = [this](const std::string& id) {
    const std::string at = "request_id=" + id;
    const std::string all = logged(at);
    const size_t begin = all.find(at);
    return all.substr(begin, all.find('\n', begin) - begin);
  };
  EXPECT_EQ(ask(std::string(kChat), "x-request-id: bad\r\n").status, 400);
  EXPECT_THAT(line("bad"), HasSubstr(" error=c "));
  u.behave("status-429");
  EXPECT_EQ(ask(std::string(kChat), "x-request-id: full\r\n").status, 503);
  EXPECT_THAT(line("full"), HasSubstr(" error=upstream_overloaded "));
  TestClient client(gateway_->port());
  EXPECT_EQ(client.exchange(post("{}", "x-request-id: lost\r\n", "/v1/walrus"))->status, 404);
  EXPECT_THAT(line("lost"), HasSubstr(" route=unknown status=404 "));
  EXPECT_THAT(line("lost"), HasSubstr(" error=not_found "));
}

TEST(RefusalCode, IsAWordOfTheBody) {
  EXPECT_EQ(refusal_code(R"({"error":{"code":"context_length_exceeded","type":"t"}})"),
            "context_length_exceeded");
  EXPECT_EQ(refusal_code(R"({"type":"error","error":{"type":"invalid_request_error"}})"),
            "invalid_request_error");
  EXPECT_EQ(refusal_code(R"({"error":{"code":null,"type":"t"}})"), "t");
  const std::string none[] = {"",
                              "{",
                              "[]",
                              "<html>",
                              R"({"error":"no"})",
                              R"({"error":{"code":400}})",
                              R"({"error":{"code":"a b\nc"}})",
                              R"({"error":{"code":")" + std::string(65, 'a') + R"("}})"};
  for (const std::string& body : none) EXPECT_EQ(refusal_code(body), "upstream_refused") << body;
}

TEST_F(GatewayTest, WhoseTimeRanOutIsSaid) {
  FakeUpstream& u = add("one", "stall");
  start("timeouts: {idle_ms: 300, first_byte_ms: 300}, ", "slow_start_ms: 0");
  const auto says = [this](std::string_view body, const std::string& fields) {
    return ask(std::string(body), fields).body;
  };
  // One that is longer than the route's own times is not what ended it.
  const std::string own = "x-weir-deadline-ms: 150\r\n", longer = "x-weir-deadline-ms: 9000\r\n";
  EXPECT_THAT(says(kStream, own),
              HasSubstr("the client's deadline of 150 ms passed in the middle"));
  EXPECT_THAT(says(kStream, longer), HasSubstr("the upstream took too long in the middle"));
  u.behave("hang");
  EXPECT_THAT(says(kChat, longer), HasSubstr("upstream took too long"));
}

// A first attempt may take half of the client's time; with no second one there is time left.
TEST_F(GatewayTest, AShareOfTheClientsTimeIsNotAllOfIt) {
  add("one", "hang");
  start("retries: {rerun_generation: false}, ");
  const auto begun = std::chrono::steady_clock::now();
  const http::Response r = ask(std::string(kStream), "x-weir-deadline-ms: 2200\r\n");
  EXPECT_EQ(r.status, 504);
  EXPECT_THAT(r.body, HasSubstr("the upstream took too long"));
  EXPECT_THAT(r.body, testing::Not(HasSubstr("deadline")));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
}

TEST_F(GatewayTest, RetriesHaveABudget) {
  FakeUpstream& a = add("a", "status-500");
  FakeUpstream& b = add("b", "status-500");
  start("", "breaker: {in_a_row: 0, failure_rate: 2}, outlier: {consecutive_failures: 0}");
  constexpr int kRequests = 200;
  TestClient client(gateway_->port());
  for (int i = 0; i < kRequests; ++i) {
    const auto r = client.exchange(post(std::string(kChat)));
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->status, 502);
  }
  const int attempts = a.requests() + b.requests();
  EXPECT_GE(attempts, kRequests);
  EXPECT_LE(attempts, kRequests * 1.1 + 10);
}

// Five failures in a row open the breaker: then a dead pool is not asked at all, and the client is
// told when it will be.
TEST_F(GatewayTest, ADeadPoolIsLeftAlone) {
  FakeUpstream& a = add("a", "status-500");
  start();
  for (int i = 0; i < 50; ++i) ask(std::string(kChat));
  EXPECT_LE(a.requests(), 10);
  const http::Response r = ask(std::string(kChat));
  EXPECT_EQ(r.status, 503);
  EXPECT_TRUE(r.headers.contains("retry-after"));
}

TEST_F(GatewayTest, BadRequestsGoNowhere) {
  FakeUpstream& u = add("one");
  start();
  const std::tuple<std::string, int, std::string> rows[] = {
      {"{", 400, "invalid_json"},
      {"[]", 400, "invalid_json"},
      {"{}", 400, "invalid_value"},
      {R"({"model":7})", 400, "invalid_value"},
      {R"({"model":"chat","stream":1})", 400, "invalid_value"},
      {R"({"model":"chat","max_tokens":-1})", 400, "invalid_value"},
      {R"({"model":"chat","model":"chat"})", 400, "invalid_json"},
      {R"({"model":"nope"})", 404, "model_not_found"}};
  for (const auto& [body, status, code] : rows) {
    const http::Response r = ask(body);
    EXPECT_EQ(r.status, status) << body;
    EXPECT_NE(r.body.find(code), std::string::npos) << body << r.body;
  }
  EXPECT_EQ(u.requests(), 0);
}

TEST_F(GatewayTest, ProbesTakeAnEndpointOutAndIn) {
  add("one");
  start("", "panic_threshold: 0, health: {path: /, interval_ms: 20, timeout_ms: 500, fall: 1}");
  const std::string up = R"(weir_gateway_endpoints_up{upstream="pods"})";
  EXPECT_EQ(metric(up), "1");
  upstreams_.clear();
  EXPECT_TRUE(http::eventually([&] { return metric(up) == "0"; }));
  const http::Response r = ask(std::string(kChat));
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(r.headers.find("x-weir-attempts"), "0");
}

// The keys file of weir serve, with its limits.
TEST_F(GatewayTest, KeysAndLimitsOfTenants) {
  add("one");
  const auto fast = access::make_key("acme", /*argon2=*/false);
  const auto slow = access::make_key("slow", /*argon2=*/true);
  ASSERT_TRUE(fast.ok() && slow.ok());
  const os::TempDir dir;
  const std::string keys = dir.path() + "/keys.yaml";
  ASSERT_TRUE(os::write_file_atomic(
                  keys,
                  "tenants:\n  acme: {requests_per_min: 3, models: [chat], "
                  "max_output_tokens: 50}\n  slow: {tokens_per_min: 100}\nkeys:\n" +
                      access::render_entry(fast->entry) + access::render_entry(slow->entry))
                  .ok());
  ASSERT_EQ(::chmod(keys.c_str(), 0600), 0);
  start_yaml("listen: {port: 0}\nkeys_file: " + keys + "\nupstreams: {pods: {endpoints: [\"" +
             upstreams_[0]->url() +
             "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}, "
             "other: {targets: [{upstream: pods}]}}\n");
  const std::string acme = "Authorization: Bearer " + fast->key + "\r\n";
  const std::string other = "x-api-key: " + slow->key + "\r\n";
  EXPECT_EQ(ask(std::string(kChat)).status, 401);
  EXPECT_EQ(ask(std::string(kChat), "Authorization: Bearer nope\r\n").status, 401);
  EXPECT_EQ(ask(std::string(kChat), acme).status, 200);
  EXPECT_EQ(ask(R"({"model":"other"})", acme).status, 404);
  EXPECT_EQ(ask(R"({"model":"chat","max_tokens":51})", acme).status, 400);
  // Which are none of its three.
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ask(std::string(kChat), acme).status, 200) << i;
  const http::Response late = ask(std::string(kChat), acme);
  EXPECT_EQ(late.status, 429) << late.body;
  EXPECT_TRUE(late.headers.contains("retry-after"));
  // Of 100 tokens 61 are reserved and 5 are used: there is room for another.
  const std::string sixty = R"({"model":"other","max_tokens":60,"prompt":"abcd"})";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(sixty, other).status, 200) << i;
  EXPECT_EQ(ask(R"({"model":"other","max_tokens":90,"prompt":"abcd"})", other).status, 429);
  TestClient client(gateway_->port());
  const auto models = client.exchange("GET /v1/models HTTP/1.1\r\nHost: t\r\n" + acme + "\r\n");
  EXPECT_NE(models->body.find("\"chat\""), std::string::npos) << models->body;
  EXPECT_EQ(models->body.find("\"other\""), std::string::npos) << models->body;
}

// A bound by a name that the path's upstreams pass over is none: it does not stand in for the
// tenant's.
TEST_F(GatewayTest, ATenantsBoundHoldsByWhateverNameARequestSaysAnother) {
  FakeUpstream& u = add("one");
  const auto key = access::make_key("acme", /*argon2=*/false);
  ASSERT_TRUE(key.ok());
  const os::TempDir dir;
  const std::string keys = dir.path() + "/keys.yaml";
  ASSERT_TRUE(os::write_file_atomic(keys, "tenants:\n  acme: {max_output_tokens: 50}\nkeys:\n" +
                                              access::render_entry(key->entry))
                  .ok());
  ASSERT_EQ(::chmod(keys.c_str(), 0600), 0);
  start_yaml("listen: {port: 0}\nkeys_file: " + keys + "\nupstreams: {pods: {endpoints: [\"" +
             u.url() + "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  const std::string chat = "/v1/chat/completions", one = "/v1/completions", two = "/v1/responses";
  struct Case {
    std::string path, fields, told;  // told: what goes upstream; "": refused
  };
  for (const Case& c : std::vector<Case>{
           {chat, R"("max_output_tokens":1)", R"("max_tokens":50)"},
           {one, R"("max_completion_tokens":1)", R"("max_tokens":50)"},
           {one, R"("max_output_tokens":1)", R"("max_tokens":50)"},
           {two, R"("max_tokens":1,"max_completion_tokens":1)", R"("max_output_tokens":50)"},
           {chat, R"("max_completion_tokens":40)", R"("max_completion_tokens":40)"},
           {chat, R"("max_tokens":60,"max_completion_tokens":1)", ""},
           {chat, R"("max_tokens":1,"max_completion_tokens":60)", ""},
           {"/v1/messages", R"("max_tokens":60,"max_completion_tokens":1)", ""},
           {chat, R"("n_predict":60)", ""},
           {chat, R"("n_predict":2.5)", ""},
           {chat, R"("max_tokens":1,"n_predict":60)", ""},
           {chat, R"("n_predict":-1)", R"("max_tokens":50})"},
           {one, R"("n_predict":20)", R"("max_tokens":20})"}}) {
    TestClient client(gateway_->port());
    const auto r = client.exchange(
        post(R"({"model":"chat",)" + c.fields +
                 R"(,"prompt":"x","input":"x","messages":[{"role":"user","content":"hi"}]})",
             "Authorization: Bearer " + key->key + "\r\n", c.path));
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->status, c.told.empty() ? 400 : 200) << c.path << c.fields << r->body;
    if (c.told.empty()) continue;
    EXPECT_NE(u.last().body.find(c.told), std::string::npos) << u.last().body;
  }
}

// Whoever shuts the open one still has it behind the token.
TEST_F(GatewayTest, MetricsAreAlsoAtTheAdminListener) {
  start_yaml("listen: {port: 0}\nadmin: {port: 0, token_env: T}\nupstreams: {a: {endpoints: [\"" +
             add("a").url() + "\"]}}\nmodels: {chat: {targets: [{upstream: a}]}}\n");
  const http::Response there = admin("/metrics");
  EXPECT_EQ(there.status, 200);
  EXPECT_NE(there.body.find("\nweir_gateway_in_flight 0\n"), std::string::npos);
  TestClient nobody(gateway_->admin_port());
  EXPECT_EQ(nobody.exchange("GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n")->status, 401);
}

// Two releases: users stay where they are, weights move, what a release does is told.
TEST_F(GatewayTest, ReleasesAreWeighedAndJudged) {
  FakeUpstream& stable = add("stable");
  FakeUpstream& canary = add("canary", "status-400");
  start_yaml(
      "listen: {port: 0}\nadmin: {port: 0, token_env: T}\nerror_budget: 0.01\nupstreams: {s: "
      "{endpoints: [\"" +
      stable.url() + "\"]}, c: {endpoints: [\"" + canary.url() +
      "\"]}}\nmodels: {chat: {targets: [{upstream: s, release: r1, weight: 100}, {upstream: c, "
      "release: r2, weight: 0}]}}\n");
  const auto raw = [&](const std::string& request) {
    TestClient client(gateway_->admin_port());
    const auto r = client.exchange(request);
    return r.value_or(http::Response{0, {}, ""});
  };
  const auto put = [&](const std::string& body) {
    return raw(
        "PUT /admin/rollout/weights HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer t\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  const auto get = [&](const std::string& path) {
    return raw("GET " + path + " HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer t\r\n\r\n").body;
  };
  const auto ask_as = [&](int user) {
    return ask(R"({"model":"chat","user":"u)" + std::to_string(user) + R"(","prompt":"a"})").status;
  };
  for (int i = 0; i < 40; ++i) EXPECT_EQ(ask_as(i), 200);
  EXPECT_EQ(canary.requests(), 0);
  EXPECT_EQ(put(R"({"weights":{"r1":50,"r2":60}})").status, 400);
  EXPECT_EQ(put(R"({"weights":{"r1":50,"r3":50}})").status, 400);
  EXPECT_EQ(put("{").status, 400);
  EXPECT_EQ(put(R"({"weights":{"r1":50,"r2":50}})").status, 200);
  std::vector<int> first;
  for (int i = 0; i < 40; ++i) first.push_back(ask_as(i));
  EXPECT_GT(canary.requests(), 8);
  EXPECT_LT(canary.requests(), 32);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(ask_as(i), first[static_cast<size_t>(i)]) << i;
  const std::string state = get("/admin/rollout?window_s=60");
  EXPECT_NE(state.find(R"("weights":{"r1":50,"r2":50})"), std::string::npos) << state;
  EXPECT_NE(state.find(R"("burn_rate":0.0)"), std::string::npos) << state;
  EXPECT_NE(get("/admin/rollout?window_s=x").find("window_s"), std::string::npos);
  EXPECT_NE(get("/admin/fleet").find(R"("state":"ready")"), std::string::npos);
  EXPECT_EQ(raw("GET /admin/fleet HTTP/1.1\r\nHost: t\r\n\r\n").status, 401);
}

}  // namespace
}  // namespace weir::gateway
