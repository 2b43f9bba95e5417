// What upstreams say of their load steers requests while it is fresh.
#include <gtest/gtest.h>

#include "gateway/capacity.h"
#include "gateway/gateway_testing.h"

namespace weir::gateway {
namespace {

class SignalsTest : public GatewayTest {
 protected:
  void start_two(const std::string& metrics, const std::string& policy = "least_loaded") {
    start_yaml(
        "listen: {port: 0}\nadmin: {port: 0, token_env: T}\nupstreams: {pods: {engine: vllm, "
        "health: {path: none}, slow_start_ms: 0, metrics: {" +
        metrics + "}, endpoints: [\"" + upstreams_[0]->url() + "\", \"" + upstreams_[1]->url() +
        "\"]}}\nmodels: {chat: {policy: " + policy + ", targets: [{upstream: pods}]}}\n");
  }
  static std::string says(int waiting) {
    return "vllm:num_requests_waiting{engine=\"0\"} " + std::to_string(waiting) +
           "\nvllm:num_requests_running{engine=\"0\"} 4\nvllm:kv_cache_usage_perc 0.5\n";
  }
  std::string stale() { return metric(R"(weir_gateway_signals_stale{upstream="pods"})"); }
  std::string scrapes(const std::string& result) {
    return metric("weir_gateway_scrapes_total{result=\"" + result + "\",upstream=\"pods\"}");
  }
  int all_of_ten(const FakeUpstream& u) {
    const int before = u.requests();
    for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(std::string(kChat)).status, 200);
    return u.requests() - before;
  }
};

TEST_F(SignalsTest, TheQueueOfAnEndpointSteers) {
  for (const std::string policy : {"least_loaded", "cache_aware", "random_two"}) {
    upstreams_.clear();
    FakeUpstream& a = add("a");
    FakeUpstream& b = add("b");
    a.say_metrics(says(20));
    b.say_metrics(says(0));
    start_two("interval_ms: 40", policy);
    ASSERT_TRUE(http::eventually([&] { return a.scrapes() > 1 && b.scrapes() > 1; }));
    EXPECT_EQ(all_of_ten(b), 10) << policy;
    a.say_metrics(says(0));
    b.say_metrics(says(20));
    const int seen = b.scrapes();
    ASSERT_TRUE(http::eventually([&] { return b.scrapes() > seen + 1 && a.scrapes() > seen + 1; }));
    EXPECT_EQ(all_of_ten(a), 10) << policy;
    const std::string fleet = admin("/admin/fleet").body;
    EXPECT_NE(fleet.find(R"("waiting":20,"running":4,"kv_usage":0.5)"), std::string::npos) << fleet;
    EXPECT_NE(fleet.find(R"("stale":false)"), std::string::npos) << fleet;
    EXPECT_EQ(stale(), "0");
    gateway_.reset();
  }
}

TEST_F(SignalsTest, WhatIsTooOldIsIgnoredAndSaid) {
  FakeUpstream& a = add("a");
  FakeUpstream& b = add("b");
  a.say_metrics(says(20));
  b.say_metrics(says(0));
  start_two("interval_ms: 40, stale_after: 4");
  ASSERT_TRUE(http::eventually([&] { return a.scrapes() > 1 && b.scrapes() > 1; }));
  EXPECT_EQ(all_of_ten(b), 10);
  a.say_metrics("");  // 404
  EXPECT_TRUE(http::eventually([&] { return stale() == "1"; }));
  const std::string fleet = admin("/admin/fleet").body;
  EXPECT_NE(fleet.find(R"("stale":true)"), std::string::npos) << fleet;
  EXPECT_NE(scrapes("status_404"), "");
  int to_a = 0;
  for (int i = 0; i < 5 && to_a == 0; ++i) to_a += all_of_ten(a);
  EXPECT_GT(to_a, 0) << "an old queue still keeps requests away";
  a.say_metrics(says(20));
  EXPECT_TRUE(http::eventually([&] { return stale() == "0"; }));
  EXPECT_EQ(all_of_ten(b), 10);
}

TEST_F(SignalsTest, BadAnswersAreCountedByWhatIsWrong) {
  FakeUpstream& a = add("a");
  FakeUpstream& b = add("b");
  a.say_metrics(std::string(kMaxMetricsBytes + 1, '\n'));
  b.say_metrics("vllm:num_requests_waiting x\n");
  start_two("interval_ms: 40, timeout_ms: 5000");
  EXPECT_TRUE(http::eventually([&] { return scrapes("too_large") != ""; }));
  EXPECT_TRUE(http::eventually([&] { return scrapes("malformed") != ""; }));
  b.say_metrics("up 1\n");
  EXPECT_TRUE(http::eventually([&] { return scrapes("no_signals") != ""; }));
  EXPECT_EQ(scrapes("good"), "");
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
}

TEST_F(SignalsTest, HostedOnesAreNotAsked) {
  FakeUpstream& a = add("a");
  a.say_metrics(says(1));
  start();
  for (int i = 0; i < 5; ++i) ask(std::string(kChat));
  EXPECT_EQ(a.scrapes(), 0);
}

}  // namespace
}  // namespace weir::gateway
