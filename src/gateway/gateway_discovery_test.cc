// Pools whose endpoints come and go while requests go through.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "gateway/discover/fake_api_testing.h"
#include "gateway/gateway_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

// Upstreams at 127.0.0.1, .2, … with one port; a DNS that says what the test wants.
class DiscoveryTest : public GatewayTest {
 protected:
  void add_hosts(int n) {
    uint16_t port = 0;
    for (int i = 1; i <= n; ++i) {
      const std::string host = "127.0.0." + std::to_string(i);
      upstreams_.push_back(std::make_unique<FakeUpstream>(host, "ok", host, port));
      port = upstreams_.back()->port();
    }
  }
  void TearDown() override { gateway_.reset(); }  // it asks the DNS below to its end
  int port() const { return upstreams_.front()->port(); }
  // head: keys of the file.
  void start_pool(const std::string& endpoints, const std::string& head = "") {
    start_yaml("listen: {port: 0}\nadmin: {port: 0, token_env: T}\n" + head +
                   "upstreams: {pods: {slow_start_ms: 0, endpoints: {" + endpoints +
                   "}}}\nmodels: {chat: {policy: round_robin, targets: [{upstream: pods}]}}\n",
               [this](const std::string& name, const auto& answer) {
                 EXPECT_EQ(name, "pods.example");
                 ++looked_up_;
                 MutexLock lock(mutex_);
                 answer(addresses_);
               });
  }
  void start_dns(const std::string& more = "", const std::string& head = "") {
    start_pool(
        "dns: {name: pods.example, interval_ms: 20, port: " + std::to_string(port()) + more + "}",
        head);
  }
  void start_kubernetes(const FakeApi& api, const std::string& more = "") {
    start_pool("kubernetes: {service: vllm, namespace: prod, api_url: \"" + api.url() + "\"" +
               more + "}");
  }
  void say(Result<std::vector<std::string>> addresses) {
    MutexLock lock(mutex_);
    addresses_ = std::move(addresses);
  }
  // Once it is looked up again and what came of that is done.
  void looked() {
    const int before = looked_up_;
    ASSERT_TRUE(http::eventually([&] { return looked_up_ > before + 1; }));
  }
  bool ready() {
    TestClient client(gateway_->port());
    const auto r = client.exchange("GET /ready HTTP/1.1\r\nHost: t\r\n\r\n");
    return r.has_value() && r->status == 200;
  }
  std::string up() { return metric(R"(weir_gateway_endpoints_up{upstream="pods"})"); }
  std::string discoveries(const std::string& result) {
    return metric("weir_gateway_discoveries_total{result=\"" + result + "\",upstream=\"pods\"}");
  }
  // Who answers, by name, of so many requests; all must be answered.
  std::map<std::string, int> answers(int n) {
    std::map<std::string, int> before;
    for (const auto& u : upstreams_) before[u->url()] = u->requests();
    for (int i = 0; i < n; ++i) EXPECT_EQ(ask(std::string(kChat)).status, 200);
    std::map<std::string, int> out;
    for (const auto& u : upstreams_) {
      const int more = u->requests() - before[u->url()];
      if (more > 0) out[u->url().substr(sizeof("http://") - 1, 9)] = more;
    }
    return out;
  }

  std::atomic<int> looked_up_{0};
  Mutex mutex_;
  Result<std::vector<std::string>> addresses_ WEIR_GUARDED_BY(mutex_){std::vector<std::string>{}};
};

using Answers = std::map<std::string, int>;

TEST_F(DiscoveryTest, FollowsTheName) {
  add_hosts(3);
  say(std::vector<std::string>{"127.0.0.1", "::1"});
  start_dns();
  ASSERT_TRUE(http::eventually([&] { return ready(); }));
  EXPECT_EQ(answers(4), (Answers{{"127.0.0.1", 4}}));
  say(std::vector<std::string>{"127.0.0.1", "127.0.0.2", "127.0.0.3"});
  looked();
  EXPECT_EQ(answers(9), (Answers{{"127.0.0.1", 3}, {"127.0.0.2", 3}, {"127.0.0.3", 3}}));
  EXPECT_EQ(up(), "3");
  say(std::vector<std::string>{"127.0.0.3"});
  looked();
  EXPECT_EQ(answers(4), (Answers{{"127.0.0.3", 4}}));
  EXPECT_EQ(up(), "1");
  const std::string fleet = admin("/admin/fleet").body;
  EXPECT_NE(fleet.find(R"("source":"dns","endpoints":1,"good":true)"), std::string::npos) << fleet;
}

// Whom a picker in front names is found among those that were discovered.
TEST_F(DiscoveryTest, APickerNamesOneThatWasFound) {
  add_hosts(2);
  say(std::vector<std::string>{"127.0.0.1", "127.0.0.2"});
  start_dns("", "trusted_picker: true\n");
  ASSERT_TRUE(http::eventually([&] { return ready(); }));
  for (int i = 0; i < 3; ++i) {
    const http::Response r =
        ask(std::string(kChat),
            "x-gateway-destination-endpoint: 127.0.0.2:" + std::to_string(port()) + "\r\n");
    EXPECT_EQ(r.status, 200) << r.body;
  }
  EXPECT_EQ(upstreams_[0]->requests(), 0);
  EXPECT_EQ(upstreams_[1]->requests(), 3);
}

// While the name is gone, and when it comes back with others, no request fails.
TEST_F(DiscoveryTest, ANameThatIsGoneLosesNoRequest) {
  add_hosts(2);
  say(std::vector<std::string>{"127.0.0.1"});
  start_dns();
  ASSERT_TRUE(http::eventually([&] { return ready(); }));
  std::atomic<bool> stop{false};
  std::atomic<int> good{0};
  std::atomic<int> bad{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      TestClient client(gateway_->port());
      while (!stop) {
        const auto r = client.exchange(post(std::string(good % 2 == 0 ? kChat : kStream)));
        ++(r.has_value() && r->status == 200 ? good : bad);
      }
    });
  }
  say(make_error(ErrorCode::kIo, "the name pods.example does not resolve"));
  looked();
  say(std::vector<std::string>{});
  looked();
  say(std::vector<std::string>{"127.0.0.2"});
  looked();
  say(make_error(ErrorCode::kIo, "again"));
  looked();
  const std::string fleet = admin("/admin/fleet").body;
  EXPECT_NE(fleet.find(R"("good":false)"), std::string::npos) << fleet;
  EXPECT_NE(fleet.find("again"), std::string::npos) << fleet;
  stop = true;
  for (std::thread& t : clients) t.join();
  EXPECT_EQ(bad, 0);
  EXPECT_GT(good, 20);
  EXPECT_GT(upstreams_[1]->requests(), 0);
  EXPECT_NE(discoveries("gone"), "");
  EXPECT_NE(discoveries("good"), "");
}

TEST_F(DiscoveryTest, ANameThatIsGoneForTooLongIsGone) {
  add_hosts(1);
  say(std::vector<std::string>{"127.0.0.1"});
  start_dns(", keep_ms: 100");
  ASSERT_TRUE(http::eventually([&] { return ready(); }));
  EXPECT_EQ(answers(2), (Answers{{"127.0.0.1", 2}}));
  say(make_error(ErrorCode::kIo, "no such name"));
  EXPECT_TRUE(http::eventually([&] { return up() == "0"; }));
  EXPECT_EQ(ask(std::string(kChat)).status, 503);
  EXPECT_EQ(discoveries("expired"), "1");
  say(std::vector<std::string>{"127.0.0.1"});
  EXPECT_TRUE(http::eventually([&] { return up() == "1"; }));
  EXPECT_EQ(answers(1), (Answers{{"127.0.0.1", 1}}));
}

TEST_F(DiscoveryTest, WhatIsInFlightAtARetiredOneFinishes) {
  add_hosts(2);
  upstreams_[0]->behave("slow");
  say(std::vector<std::string>{"127.0.0.1"});
  start_dns();
  ASSERT_TRUE(http::eventually([&] { return ready(); }));
  TestClient whole(gateway_->port());
  TestClient stream(gateway_->port());
  ASSERT_TRUE(whole.send(post(std::string(kChat))));
  ASSERT_TRUE(stream.send(post(std::string(kStream))));
  ASSERT_TRUE(http::eventually([&] { return upstreams_[0]->requests() == 2; }));
  say(std::vector<std::string>{"127.0.0.2"});
  looked();
  EXPECT_EQ(answers(3), (Answers{{"127.0.0.2", 3}}));
  for (TestClient* client : {&whole, &stream}) {
    const auto r = client->read_response();
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->status, 200);
    EXPECT_NE(r->body.find("127.0.0.1"), std::string::npos) << r->body;
  }
  EXPECT_TRUE(http::eventually(
      [&] { return admin("/admin/fleet").body.find("127.0.0.1") == std::string::npos; }));
}

TEST_F(DiscoveryTest, KubernetesListsAndWatches) {
  add_hosts(3);
  FakeApi api;
  const os::TempDir dir;
  const std::string token = dir.path() + "/token";
  ASSERT_TRUE(os::write_file_atomic(token, std::string_view("abc.def\n")).ok());
  api.fail(503);
  start_kubernetes(api, ", token_file: " + token);
  ASSERT_TRUE(http::eventually([&] { return discoveries("list") != ""; }));
  EXPECT_EQ(ask(std::string(kChat)).status, 503);
  api.hold(FakeApi::slice("a", {"127.0.0.1"}, port(), 5), 7);
  api.fail(200);
  ASSERT_TRUE(http::eventually([&] { return api.watches() == 1; }));
  const http::Request watch = api.last();
  EXPECT_EQ(watch.path, "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices");
  EXPECT_NE(watch.query.find("labelSelector=kubernetes.io%2Fservice-name%3Dvllm"),
            std::string::npos);
  EXPECT_NE(watch.query.find("resourceVersion=7"), std::string::npos) << watch.query;
  EXPECT_EQ(watch.headers.find("authorization"), "Bearer abc.def");
  EXPECT_EQ(answers(2), (Answers{{"127.0.0.1", 2}}));
  api.event("ADDED", FakeApi::slice("b", {"127.0.0.2"}, port(), 8));
  EXPECT_TRUE(http::eventually([&] { return up() == "2"; }));
  api.event("MODIFIED", FakeApi::slice("a", {"-127.0.0.1", "127.0.0.3"}, port(), 9));
  EXPECT_TRUE(http::eventually([&] { return discoveries("event") == "2"; }));
  EXPECT_EQ(answers(4), (Answers{{"127.0.0.2", 2}, {"127.0.0.3", 2}}));
  api.event("DELETED", FakeApi::slice("b", {}, port(), 10));
  EXPECT_TRUE(http::eventually([&] { return up() == "1"; }));
  // The watch ends, as it does every two minutes: it goes on from where it was.
  api.end_watches();
  ASSERT_TRUE(http::eventually([&] { return api.watches() == 2; }));
  EXPECT_NE(api.last().query.find("resourceVersion=10"), std::string::npos) << api.last().query;
}

TEST_F(DiscoveryTest, KubernetesTooOldOrOutOfReach) {
  add_hosts(2);
  FakeApi api;
  api.hold(FakeApi::slice("a", {"127.0.0.1"}, port(), 5), 7);
  start_kubernetes(api);
  ASSERT_TRUE(http::eventually([&] { return api.watches() == 1 && ready(); }));
  // 410: what is true now is in the list.
  api.hold(FakeApi::slice("b", {"127.0.0.2"}, port(), 90), 90);
  const int lists = api.lists();
  api.event("ERROR", R"({"kind":"Status","code":410,"message":"too old resource version"})");
  ASSERT_TRUE(http::eventually([&] { return api.watches() == 2; }));
  EXPECT_EQ(api.lists(), lists + 1);
  EXPECT_EQ(answers(2), (Answers{{"127.0.0.2", 2}}));
  EXPECT_EQ(discoveries("relist"), "1");
  // The API dies: what it said last stays.
  api.fail(500);
  api.end_watches(/*abort=*/true);
  ASSERT_TRUE(http::eventually([&] { return discoveries("list") != ""; }));
  EXPECT_EQ(answers(4), (Answers{{"127.0.0.2", 4}}));
  api.fail(200);
  api.hold(FakeApi::slice("b", {"127.0.0.1", "127.0.0.2"}, port(), 91), 91);
  EXPECT_TRUE(http::eventually([&] { return up() == "2"; }));
}

TEST_F(DiscoveryTest, KubernetesWithoutAWatchIsAskedAtIntervals) {
  add_hosts(2);
  FakeApi api;
  api.hold(FakeApi::slice("a", {"127.0.0.1"}, port(), 5), 7);
  start_kubernetes(api, ", watch: false, interval_ms: 100");
  ASSERT_TRUE(http::eventually([&] { return api.lists() > 1; }));
  EXPECT_EQ(answers(2), (Answers{{"127.0.0.1", 2}}));
  api.hold(FakeApi::slice("a", {"127.0.0.2"}, port(), 6), 8);
  const int seen = api.lists();
  ASSERT_TRUE(http::eventually([&] { return api.lists() > seen + 1; }));
  EXPECT_EQ(answers(2), (Answers{{"127.0.0.2", 2}}));
  EXPECT_EQ(api.watches(), 0);
}

}  // namespace
}  // namespace weir::gateway
