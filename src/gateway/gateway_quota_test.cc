// Quotas through the gateway: what is refused, what is given back, what is booked, and streams that
// go beyond what they reserved.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <cmath>
#include <future>
#include <thread>

#include "gateway/gateway.h"
#include "gateway/state/ledger_reader.h"
#include "gateway/state/redis_server_testing.h"
#include "gateway/state/unix_peer_testing.h"
#include "gateway/upstream_testing.h"
#include "http/server_test_util.h"
#include "os/temp_dir.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kChat =
    R"({"model":"chat","max_tokens":10,"messages":[{"role":"user","content":"hihihihi"}]})";
constexpr std::string_view kStream =
    R"({"model":"chat","stream":true,"messages":[{"role":"user","content":"hi"}]})";

class GatewayQuotas : public testing::Test {
 protected:
  GatewayConfig config(const std::string& quotas, const std::string& more = "") {
    const std::string yaml =
        "listen: {port: 0}\nadmin: {port: 0, token_env: T}\nupstreams: {pods: {endpoints: [\"" +
        upstream_.url() + "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\nquotas: [" +
        quotas + "]\n" + more;
    const auto node = config::parse_yaml(yaml, "g.yaml");
    EXPECT_TRUE(node.ok()) << node.error().message;
    auto config = parse_gateway_config(
        *node, "g.yaml", [](const std::string&) { return std::optional<std::string>("t"); });
    EXPECT_TRUE(config.ok()) << config.error().message;
    return std::move(*config);
  }
  void start(const std::string& quotas, const std::string& more = "") {
    auto started = Gateway::start(config(quotas, more), clock_, log_, 1);
    ASSERT_TRUE(started.ok()) << started.error().message;
    gateway_ = std::move(*started);
  }
  http::Response ask(std::string_view body, const std::string& path = "/v1/chat/completions") {
    http::TestClient client(gateway_->port());
    const auto r = client.exchange(http::post(path, std::string(body)));
    EXPECT_TRUE(r.has_value());
    return r.value_or(http::Response{0, {}, ""});
  }
  std::string metrics() {
    http::TestClient client(gateway_->port());
    return client.exchange(http::get("/metrics"))->body;
  }
  std::string shown(const std::string& query = "") {
    http::TestClient client(gateway_->admin_port());
    return client.exchange(http::get("/admin/quotas" + query, "Authorization: Bearer t\r\n"))->body;
  }
  bool used_is(int64_t used) {
    return http::eventually(
        [&] { return shown().find(fmt::format("\"used\":{}}}", used)) != std::string::npos; });
  }

  SystemClock clock_;
  telemetry::Logger log_{{.level = telemetry::LogLevel::kOff}};
  FakeUpstream upstream_{"one", "ok"};
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayQuotas, AnswersTellWhatIsLeft) {
  start(
      "{name: few, metric: requests, window: minute, limit: 5}, "
      "{name: all, metric: total_tokens, window: day, limit: 90000}");
  for (const std::string_view body : {kChat, kStream}) {
    const http::Response r = ask(body);
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.headers.find("x-ratelimit-limit-requests"), "5");
    EXPECT_EQ(r.headers.find("x-ratelimit-remaining-requests"), body == kChat ? "4" : "3");
    EXPECT_EQ(r.headers.find("x-ratelimit-limit-tokens"), "90000");
    const auto left = r.headers.find("x-ratelimit-remaining-tokens");
    ASSERT_TRUE(left.has_value());
    EXPECT_LT(std::stoi(std::string(*left)), 90000);
    const auto reset = r.headers.find("x-ratelimit-reset-requests");
    ASSERT_TRUE(reset.has_value());
    EXPECT_EQ(*reset, "1m0s");
  }
}

TEST_F(GatewayQuotas, WithoutQuotasNothingIsTold) {
  start("{name: money, metric: money, window: day, limit: \"5\"}",
        "prices: [{model: chat, input: \"1\", output: \"1\", date: 2026-11-30}]\n");
  EXPECT_EQ(ask(kChat).headers.find("x-ratelimit-limit-requests"), std::nullopt);
}

TEST_F(GatewayQuotas, WhatIsBeyondALimitIsRefusedAndNamed) {
  start("{name: few, metric: requests, window: minute, limit: 2}");
  EXPECT_EQ(ask(kChat).status, 200);
  EXPECT_EQ(ask(kChat).status, 200);
  const http::Response refused = ask(kChat);
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.body, HasSubstr("few: requests per minute: 2 of 2 are taken"));
  EXPECT_THAT(refused.body, HasSubstr(R"("code":"rate_limit_exceeded")"));
  const auto retry = refused.headers.find("retry-after");
  ASSERT_TRUE(retry.has_value());
  EXPECT_GE(std::stoi(std::string(*retry)), 1);
  EXPECT_LE(std::stoi(std::string(*retry)), 60);
  EXPECT_EQ(refused.headers.find("x-ratelimit-remaining-requests"), "0");
  const http::Response other = ask(kChat, "/v1/messages");
  EXPECT_EQ(other.status, 429);
  EXPECT_THAT(other.body, HasSubstr(R"("type":"rate_limit_error")"));
  EXPECT_THAT(other.body, HasSubstr("few: requests per minute"));
  EXPECT_EQ(upstream_.requests(), 2);
  EXPECT_THAT(metrics(), HasSubstr("weir_gateway_quota_refused_total{quota=\"few\"} 2\n"));
  EXPECT_THAT(metrics(), HasSubstr("weir_gateway_quota_store_seconds_count 4\n"));
  EXPECT_THAT(shown(), HasSubstr(R"("quota":"few")"));
  EXPECT_THAT(shown(), HasSubstr(R"("limit":2,"used":2)"));
  EXPECT_THAT(shown("?tenant=acme"), HasSubstr("keys_file has no tenant"));
}

TEST_F(GatewayQuotas, WhatCanNeverFitSaysSo) {
  start("{name: small, metric: output_tokens, window: day, limit: 5}");
  const http::Response r = ask(kChat);
  EXPECT_EQ(r.status, 429);
  EXPECT_THAT(r.body, HasSubstr("no retry will fit"));
  EXPECT_FALSE(r.headers.contains("retry-after"));
  EXPECT_EQ(r.headers.find("x-should-retry"), "false");
}

// It is asked for the tenant that was given the old one.
TEST_F(GatewayQuotas, ANewAnswerInPlaceOfAStaleOneIsCounted) {
  upstream_.behave("echo");
  start("{name: few, metric: requests, window: minute, limit: 3}",
        "cache: {enabled: true, ttl_s: 1, stale_s: 60}");
  const auto ask_of = [this](const std::string& text) {
    const http::Response r = ask(R"({"model":"chat","temperature":0,"max_tokens":10,)"
                                 R"("messages":[{"role":"user","content":")" +
                                 text + "\"}]}");
    return std::string(r.headers.find("x-weir-cache").value_or(""));
  };
  EXPECT_EQ(ask_of("a"), "miss");
  EXPECT_EQ(ask_of("b"), "miss");
  std::this_thread::sleep_for(std::chrono::milliseconds(1'050));
  EXPECT_EQ(ask_of("a"), "stale");
  EXPECT_TRUE(used_is(3)) << shown();
  EXPECT_TRUE(http::eventually([&] { return ask_of("a") == "hit"; }));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ask_of("b"), "stale") << "it stays: nothing is left";
  EXPECT_EQ(upstream_.requests(), 3);
  EXPECT_TRUE(used_is(3)) << shown();
}

TEST_F(GatewayQuotas, WhatNobodyComputedIsGivenBack) {
  start("{name: one, metric: requests, window: minute, limit: 1}");
  for (const char* how : {"status-500", "status-400", "reset"}) {
    upstream_.behave(how);
    EXPECT_GE(ask(kChat).status, 400) << how;
  }
  EXPECT_EQ(ask("{}").status, 400);
  upstream_.behave("ok");
  EXPECT_EQ(ask(kChat).status, 200);
  EXPECT_EQ(ask(kChat).status, 429);
}

// 2 tokens of prompt and 10 of answer are reserved, 5 are used.
TEST_F(GatewayQuotas, WhatTheUpstreamCountedIsBooked) {
  start("{name: tokens, metric: total_tokens, window: day, limit: 100}",
        "prices: [{model: chat, input: \"1\", output: \"1\", date: 2026-11-30}]\n");
  for (int i = 0; i < 19; ++i) EXPECT_EQ(ask(kChat).status, i < 18 ? 200 : 429) << i;
  EXPECT_TRUE(used_is(90));
}

TEST_F(GatewayQuotas, MoneyIsReservedAndBooked) {
  start("{name: purse, metric: money, window: month, limit: \"0.0002\"}",
        "prices: [{model: chat, input: \"1\", output: \"10\", date: 2026-11-30}]\n");
  // 2 + 10 x 10 millionths are reserved, 3 + 2 x 10 booked: after the fifth there is no room.
  for (int i = 0; i < 6; ++i) EXPECT_EQ(ask(kChat).status, i < 5 ? 200 : 429) << i;
  EXPECT_THAT(ask(kChat).body, HasSubstr("purse: money per month: 0.000115 of 0.0002 are taken"));
  EXPECT_THAT(shown(), HasSubstr(R"("used":0.000115)"));
}

// Both have all of the limit between them; the first beyond it may go on, the other ends.
TEST_F(GatewayQuotas, AStreamThatIsRefusedMoreEnds) {
  start("{name: out, metric: output_tokens, window: day, limit: 40}",
        "quota_estimate: {output_tokens: 10, step_tokens: 10}\n");
  upstream_.behave("trickle");
  const auto stream = [&] { return ask(kStream).body; };
  auto first = std::async(std::launch::async, stream);
  EXPECT_TRUE(http::eventually([&] { return upstream_.requests() == 1; }));
  const std::string one = stream();
  const std::string two = first.get();
  const auto is_whole = [](const std::string& s) { return s.ends_with("data: [DONE]\n\n"); };
  ASSERT_NE(is_whole(one), is_whole(two)) << one << two;
  const std::string& cut = is_whole(one) ? two : one;
  EXPECT_THAT(cut, HasSubstr("data: {\"error\":"));
  EXPECT_THAT(cut, HasSubstr("out: output tokens per day"));
  EXPECT_TRUE(http::eventually([&] { return upstream_.gone() == 1; }));
  EXPECT_THAT(metrics(), HasSubstr("weir_gateway_requests_total{end=\"quota_exceeded\"} 1\n"));
  EXPECT_THAT(metrics(), HasSubstr("weir_gateway_quota_refused_total{quota=\"out\"} 1\n"));
  EXPECT_THAT(metrics(), HasSubstr("weir_gateway_quota_reservations 0\n"));
  int64_t deltas = 0;
  for (size_t at = cut.find("\"x\""); at != std::string::npos; at = cut.find("\"x\"", at + 1))
    ++deltas;
  EXPECT_GE(deltas, 5);
  EXPECT_LE(deltas, 21);
  EXPECT_TRUE(used_is(60 + deltas)) << shown() << deltas;
}

TEST_F(GatewayQuotas, WhatAClientLeavesBehindIsBooked) {
  start("{name: out, metric: output_tokens, window: day, limit: 2000}");
  upstream_.behave("trickle");
  {
    http::TestClient client(gateway_->port());
    client.send(http::post("/v1/chat/completions", std::string(kStream)));
    EXPECT_TRUE(http::eventually([&] { return upstream_.requests() == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
  EXPECT_TRUE(http::eventually([&] { return upstream_.gone() == 1; }));
  EXPECT_TRUE(http::eventually(
      [&] { return metrics().find("weir_gateway_quota_reservations 0\n") != std::string::npos; }));
  EXPECT_THAT(shown(), Not(HasSubstr("\"used\":0}")));
  EXPECT_THAT(shown(), Not(HasSubstr("\"used\":1024}")));
}

// The ledger says what the quotas were charged, also of answers that broke off before their
// upstream said what it took.
TEST_F(GatewayQuotas, TheLedgerAndTheQuotasAgree) {
  const os::TempDir dir;
  start("{name: purse, metric: money, window: month, limit: 1}",
        "prices: [{model: chat, input: \"1\", output: \"10\", date: 2026-11-30}]\nledger: {file: " +
            dir.file("l.db") + "}\n");
  EXPECT_EQ(ask(kChat).status, 200);
  upstream_.behave("cut");
  EXPECT_THAT(ask(kStream).body, HasSubstr("data: {\"error\":"));
  upstream_.behave("trickle");
  {
    http::TestClient client(gateway_->port());
    client.send(http::post("/v1/chat/completions", std::string(kStream)));
    EXPECT_TRUE(http::eventually([&] { return upstream_.requests() == 3; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
  EXPECT_TRUE(http::eventually([&] { return upstream_.gone() == 1; }));
  EXPECT_TRUE(http::eventually(
      [&] { return metrics().find("weir_gateway_quota_reservations 0\n") != std::string::npos; }));
  const std::string quota = shown();
  gateway_.reset();
  auto reader = LedgerReader::open(dir.file("l.db"));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  int64_t nanos = 0;
  std::vector<LedgerRow> rows;
  const auto look = [&](const LedgerEntry& e) {
    EXPECT_TRUE(e.row.cost_nanos.has_value());
    nanos += e.row.cost_nanos.value_or(0);
    rows.push_back(e.row);
    return Status();
  };
  ASSERT_TRUE(reader->each({}, look).ok());
  ASSERT_EQ(rows.size(), 3U);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].estimated, i > 0) << i;
    EXPECT_GT(rows[i].input_tokens, 0) << i;
    EXPECT_GT(rows[i].output_tokens, 0) << i;
  }
  EXPECT_EQ(rows[1].end, LedgerEnd::kBroken);
  EXPECT_EQ(rows[2].end, LedgerEnd::kCancelled);
  const auto body = text::Json::parse(quota);
  ASSERT_TRUE(body.ok());
  const double used = body->find("quotas")->items()[0].find("used")->as_double();
  EXPECT_EQ(std::llround(used * 1e9), nanos) << quota;
}

// Another file: what was taken stays, a stream in flight ends under the limits it began with.
TEST_F(GatewayQuotas, RulesMayChange) {
  const std::string out = ", {name: out, metric: output_tokens, window: day, limit: ";
  const std::string steps = "quota_estimate: {output_tokens: 10, step_tokens: 10}\n";
  start("{name: few, metric: requests, window: minute, limit: 2}" + out + "500}", steps);
  upstream_.behave("trickle");
  auto stream = std::async(std::launch::async, [&] { return ask(kStream).body; });
  EXPECT_TRUE(http::eventually([&] { return upstream_.requests() == 1; }));
  upstream_.behave("ok");
  EXPECT_EQ(ask(kChat).status, 200);
  EXPECT_EQ(ask(kChat).status, 429);
  const auto restart = gateway_->reload(
      config("{name: few, metric: requests, window: minute, limit: 3}" + out + "20}", steps));
  ASSERT_TRUE(restart.ok()) << restart.error().message;
  EXPECT_THAT(*restart, ::testing::IsEmpty());
  EXPECT_THAT(stream.get(), ::testing::EndsWith("data: [DONE]\n\n"));
  EXPECT_THAT(ask(kChat).body, HasSubstr("out: output tokens per day: 62 of 20 are taken"));
  ASSERT_TRUE(
      gateway_->reload(config("{name: few, metric: requests, window: minute, limit: 3}")).ok());
  EXPECT_EQ(ask(kChat).status, 200);
  EXPECT_EQ(ask(kChat).status, 429);
  EXPECT_THAT(*gateway_->reload(config("", "state: {sqlite: other.db}\n")),
              ::testing::ElementsAre("state"));
}

// What is under way when prices change is booked at those that it began with.
TEST_F(GatewayQuotas, PricesMayChange) {
  const std::string purse = "{name: purse, metric: money, window: month, limit: \"1\"}";
  const auto price = [](const std::string& input) {
    return "prices: [{model: chat, input: \"" + input + "\", output: \"10\", date: 2026-11-30}]\n";
  };
  start(purse, price("1"));
  upstream_.behave("slow");
  auto answer = std::async(std::launch::async, [&] { return ask(kChat).status; });
  EXPECT_TRUE(http::eventually([&] { return upstream_.requests() == 1; }));
  ASSERT_TRUE(gateway_->reload(config(purse, price("1000"))).ok());
  EXPECT_EQ(answer.get(), 200);
  EXPECT_TRUE(http::eventually([&] {
    return shown().find(R"("used":2.3e-05)") != std::string::npos;
  })) << shown();
}

// Redis hangs while they wait for it: a client that leaves, and the gateway that ends.
TEST_F(GatewayQuotas, WhoWaitsForRedisMayGo) {
  if (!RedisServer::is_installed()) GTEST_SKIP() << "redis-server is not installed";
  const auto redis = RedisServer::start();
  ASSERT_NE(redis, nullptr);
  start("{name: few, metric: requests, window: minute, limit: 9}",
        "state: {redis: {url: \"unix:" + redis->socket() + "\", timeout_ms: 5000}}\n");
  EXPECT_EQ(ask(kChat).status, 200);
  EXPECT_TRUE(used_is(1));
  redis->stop();
  {
    http::TestClient client(gateway_->port());
    client.send(http::post("/v1/chat/completions", std::string(kChat)));
    EXPECT_TRUE(http::eventually(
        [&] { return metrics().find("weir_gateway_in_flight 1\n") != std::string::npos; }));
  }
  EXPECT_TRUE(http::eventually([&] {
    return metrics().find("weir_gateway_requests_total{end=\"client_gone\"} 1\n") !=
           std::string::npos;
  }));
  redis->go_on();
  EXPECT_TRUE(http::eventually([&] {
    return metrics().find("weir_gateway_quota_answers_total{verdict=\"granted\"} 2\n") !=
           std::string::npos;
  }));
  EXPECT_TRUE(used_is(1));  // what it had reserved is given back
  EXPECT_EQ(upstream_.requests(), 1);
  redis->stop();
  http::TestClient client(gateway_->port());
  client.send(http::post("/v1/chat/completions", std::string(kChat)));
  EXPECT_TRUE(http::eventually(
      [&] { return metrics().find("weir_gateway_in_flight 1\n") != std::string::npos; }));
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    redis->go_on();
  });
  gateway_.reset();
  later.join();
  const auto answer = client.read_response();
  EXPECT_TRUE(!answer.has_value() || answer->status == 503);
}

// It takes connections and says nothing. Who waits for it does so once, however many they are.
TEST_F(GatewayQuotas, ARedisThatHangsHoldsNobodyUp) {
  for (const bool open : {true, false}) {
    const UnixPeer silent([](int peer) {
      char piece[4096];
      while (::recv(peer, piece, sizeof(piece), 0) > 0) {
      }
    });
    start("{name: few, metric: requests, window: minute, limit: 9}",
          "state: {redis: {url: \"unix:" + silent.path() +
              "\", timeout_ms: 1000, on_failure: " + (open ? "fail_open" : "fail_closed") + "}}\n");
    std::vector<std::future<int>> first;
    for (int i = 0; i < 40; ++i)
      first.push_back(std::async(std::launch::async, [&] { return ask(kChat).status; }));
    for (auto& status : first) EXPECT_EQ(status.get(), open ? 200 : 503);
    auto longest = std::chrono::steady_clock::duration::zero();
    for (int i = 0; i < 200; ++i) {  // in the midst of which it is tried again
      const auto begun = std::chrono::steady_clock::now();
      EXPECT_EQ(ask(kChat).status, open ? 200 : 503);
      longest = std::max(longest, std::chrono::steady_clock::now() - begun);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    EXPECT_LT(longest, std::chrono::milliseconds(900));
    EXPECT_THAT(metrics(), HasSubstr("\nweir_gateway_quota_store_up 0\n"));
    gateway_.reset();
  }
}

TEST_F(GatewayQuotas, ARedisThatIsNotThereRefusesOrLetsPass) {
  const std::string few = "{name: few, metric: requests, window: minute, limit: 2}";
  const std::string at = "state: {redis: {url: \"unix:/nonexistent/redis.sock\", timeout_ms: 50, ";
  start(few, at + "on_failure: fail_closed}}\n");
  const auto store_is_down = [this] {
    return metrics().find("\nweir_gateway_quota_store_up 0\n") != std::string::npos;
  };
  EXPECT_TRUE(http::eventually(store_is_down));  // before anybody asks
  const http::Response r = ask(kChat);
  EXPECT_EQ(r.status, 503);
  EXPECT_THAT(r.body, HasSubstr("quotas cannot be checked"));
  EXPECT_TRUE(r.headers.contains("retry-after"));
  EXPECT_EQ(upstream_.requests(), 0);
  EXPECT_THAT(shown(), HasSubstr("the store of quotas does not answer"));
  gateway_.reset();
  start(few, at + "on_failure: fail_open}}\n");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(kChat).status, 200);
  EXPECT_THAT(metrics(), HasSubstr("weir_gateway_quota_answers_total{verdict=\"uncounted\"} 5\n"));
}

}  // namespace
}  // namespace weir::gateway
