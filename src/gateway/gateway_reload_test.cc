// Another configuration while requests go through.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "access/keys_file.h"
#include "gateway/gateway_testing.h"
#include "http/tls_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

class ReloadTest : public GatewayTest {
 protected:
  static constexpr const char* kListen = "listen: {port: 0}\nadmin: {port: 0, token_env: T}\n";

  // A pool with these endpoints, and a model that asks it.
  std::string yaml(const std::vector<FakeUpstream*>& endpoints, const std::string& pool = "",
                   const std::string& head = "") {
    std::string urls;
    for (const FakeUpstream* u : endpoints) urls += "\"" + u->url() + "\",";
    return kListen + head + "upstreams: {pods: {" + pool + "endpoints: [" + urls +
           "]}}\nmodels: {chat: {policy: round_robin, targets: [{upstream: pods}]}}\n";
  }
  Result<std::vector<std::string>> reload(const std::string& text) {
    auto next = config_of(text);
    if (!next.ok()) return next.error();
    return gateway_->reload(std::move(*next));
  }
  std::string fleet() { return admin("/admin/fleet").body; }
  // Whether anything is.
  bool counted(const std::string& upstream) {
    TestClient client(gateway_->port());
    const auto r = client.exchange("GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
    return r->body.find("upstream=\"" + upstream + "\"") != std::string::npos;
  }
  // Its part of the fleet.
  std::string state_of(const FakeUpstream& u) {
    const std::string all = fleet();
    const size_t at = all.find(u.url() + "\"");
    if (at == std::string::npos) return "";
    return all.substr(at, all.find("\"upstream\"", at) - at);
  }
};

using Restart = std::vector<std::string>;

TEST_F(ReloadTest, EndpointsThatStayKeepTheirState) {
  FakeUpstream& bad = add("bad", "status-500");
  FakeUpstream& gone = add("gone");
  FakeUpstream& fresh = add("fresh");
  const std::string pool = "breaker: {in_a_row: 2, open_ms: 60000}, slow_start_ms: 0, ";
  start_yaml(yaml({&bad, &gone}, pool));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ask(std::string(kChat)).status, 200);
  EXPECT_NE(state_of(bad).find(R"("breaker":"open")"), std::string::npos) << fleet();
  const int asked = bad.requests();
  ASSERT_TRUE(reload(yaml({&fresh, &bad}, pool)).ok());
  EXPECT_NE(state_of(bad).find(R"("breaker":"open")"), std::string::npos) << fleet();
  const int before = gone.requests();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ask(std::string(kChat)).status, 200);
  EXPECT_EQ(fresh.requests(), 8);
  EXPECT_EQ(gone.requests(), before);
  EXPECT_EQ(bad.requests(), asked);
  EXPECT_EQ(metric(R"(weir_gateway_endpoints_up{upstream="pods"})"), "2");
  EXPECT_EQ(metric(R"(weir_gateway_reloads_total{result="good"})"), "1");
  // With another setting the pool begins anew.
  ASSERT_TRUE(reload(yaml({&fresh, &bad}, "breaker: {in_a_row: 3}, ")).ok());
  EXPECT_TRUE(http::eventually(  // once the old one is gone
      [&] { return state_of(bad).find(R"("breaker":"closed")") != std::string::npos; }))
      << fleet();
  EXPECT_EQ(metric(R"(weir_gateway_endpoints_up{upstream="pods"})"), "2");
}

TEST_F(ReloadTest, ModelsComeAndGo) {
  FakeUpstream& one = add("one");
  start_yaml(yaml({&one}));
  const std::string other = std::string(kListen) + "upstreams: {x: {endpoints: [\"" + one.url() +
                            "\"]}, pods: {endpoints: [\"" + one.url() +
                            "\"]}}\nmodels: {other: {targets: [{upstream: x}]}}\n";
  ASSERT_TRUE(reload(other).ok());
  EXPECT_EQ(ask(std::string(kChat)).status, 404);
  const http::Response r = ask(R"({"model":"other","prompt":"a"})");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.headers.find("x-weir-upstream"), "x");
  TestClient client(gateway_->port());
  const auto models = client.exchange("GET /v1/models HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_NE(models->body.find("\"other\""), std::string::npos);
  EXPECT_EQ(models->body.find("\"chat\""), std::string::npos);
  ASSERT_TRUE(reload(yaml({&one})).ok());
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
  EXPECT_TRUE(http::eventually([&] { return fleet().find("\"x\"") == std::string::npos; }));
  EXPECT_TRUE(http::eventually([&] { return !counted("x"); }));
  EXPECT_TRUE(counted("pods"));
}

// Its metrics go with it, once nothing is under way there; under its old name it begins anew.
TEST_F(ReloadTest, MetricsOfUpstreamsThatAreGoneGo) {
  FakeUpstream& one = add("one", "hang");
  start_yaml(yaml({&one}));
  TestClient waits(gateway_->port());
  ASSERT_TRUE(waits.send(post(std::string(kChat))));
  ASSERT_TRUE(http::eventually([&] { return one.requests() == 1; }));
  const std::string other = std::string(kListen) + "upstreams: {x: {endpoints: [\"" + one.url() +
                            "\"]}}\nmodels: {chat: {targets: [{upstream: x}]}}\n";
  ASSERT_TRUE(reload(other).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(700));  // it was looked at once
  EXPECT_TRUE(counted("pods"));
  EXPECT_EQ(metric(R"(weir_gateway_endpoints_up{upstream="pods"})"), "0");
  waits.close();
  EXPECT_TRUE(http::eventually([&] { return !counted("pods"); }));
  EXPECT_EQ(metric(R"(weir_gateway_endpoints_up{upstream="x"})"), "1");
  ASSERT_TRUE(reload(yaml({&one})).ok());
  one.behave("ok");
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
  EXPECT_EQ(metric(R"(weir_gateway_attempts_total{end="answered",upstream="pods"})"), "1");
}

// What is in flight ends under what it began with, also when its model and pool are gone; when it
// has to be tried again it finds the pool that took the place of its own.
TEST_F(ReloadTest, WhatIsInFlightFinishes) {
  FakeUpstream& slow = add("slow", "slow");
  FakeUpstream& next = add("next");
  start_yaml(yaml({&slow}));
  TestClient whole(gateway_->port());
  TestClient stream(gateway_->port());
  ASSERT_TRUE(whole.send(post(std::string(kChat))));
  ASSERT_TRUE(stream.send(post(std::string(kStream))));
  ASSERT_TRUE(http::eventually([&] { return slow.requests() == 2; }));
  ASSERT_TRUE(reload(std::string(kListen) + "upstreams: {x: {endpoints: [\"" + next.url() +
                     "\"]}}\nmodels: {other: {targets: [{upstream: x}]}}\n")
                  .ok());
  for (TestClient* client : {&whole, &stream}) {
    const auto r = client->read_response();
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->status, 200);
    EXPECT_NE(r->body.find("slow"), std::string::npos) << r->body;
  }
  EXPECT_TRUE(http::eventually([&] { return fleet().find(slow.url()) == std::string::npos; }));
}

TEST_F(ReloadTest, WhatIsInFlightAndFailsIsTriedInTheNewPool) {
  FakeUpstream& dying = add("dying", "hang");
  FakeUpstream& next = add("next");
  start_yaml(yaml({&dying}));
  TestClient client(gateway_->port());
  ASSERT_TRUE(client.send(post(std::string(kChat))));
  ASSERT_TRUE(http::eventually([&] { return dying.requests() == 1; }));
  for (int i = 1; i <= 3; ++i)  // the old configuration is kept as long as the call
    ASSERT_TRUE(reload(yaml({&next}, "max_in_flight: " + std::to_string(i) + ", ")).ok());
  upstreams_.pop_front();
  const auto r = client.read_response();
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->status, 200) << r->body;
  EXPECT_NE(r->body.find("next"), std::string::npos) << r->body;
}

TEST_F(ReloadTest, ABadOneChangesNothing) {
  FakeUpstream& one = add("one");
  start_yaml(yaml({&one}));
  EXPECT_FALSE(reload(yaml({&one}, "ca_file: /nowhere/ca.pem, engine: vllm, ") + "x: 1\n").ok());
  FakeUpstream& two = add("two");
  const auto keys = reload(yaml({&two}, "", "keys_file: /nowhere/keys.yaml\n"));
  ASSERT_FALSE(keys.ok());
  EXPECT_NE(keys.error().message.find("/nowhere/keys.yaml"), std::string::npos);
  std::string tls = yaml({&two}, "ca_file: /nowhere/ca.pem, ");
  tls.replace(tls.find("http://"), 7, "https://");
  const auto ca = reload(tls);
  ASSERT_FALSE(ca.ok());
  EXPECT_NE(ca.error().message.find("/nowhere/ca.pem"), std::string::npos);
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
  EXPECT_EQ(one.requests(), 1);
  EXPECT_EQ(metric(R"(weir_gateway_reloads_total{result="refused"})"), "2");
}

TEST_F(ReloadTest, SaysWhatNeedsARestart) {
  FakeUpstream& one = add("one");
  start_yaml(yaml({&one}));
  const auto same = reload(yaml({&one}));
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_TRUE(same->empty());
  std::string text = yaml({&one}, "", "drain_timeout_s: 7\nerror_budget: 0.5\n");
  text.replace(text.find("listen: {port: 0}"), 17, "listen: {port: 1, max_connections: 9}");
  const auto other = reload(text);
  ASSERT_TRUE(other.ok()) << other.error().message;
  EXPECT_EQ(*other, (Restart{"listen.port", "listen.max_connections", "drain_timeout_s"}));
}

TEST_F(ReloadTest, Keys) {
  FakeUpstream& one = add("one");
  const os::TempDir dir;
  const std::string path = dir.path() + "/keys.yaml";
  const auto old_key = access::make_key("acme", /*argon2=*/false);
  const auto new_key = access::make_key("acme", /*argon2=*/true);
  ASSERT_TRUE(old_key.ok() && new_key.ok());
  const auto write = [&](const access::KeyEntry& entry, const std::string& limits) {
    ASSERT_TRUE(os::write_file_atomic(path, "tenants:\n  acme: {" + limits + "}\nkeys:\n" +
                                                access::render_entry(entry))
                    .ok());
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  };
  const std::string with_old = "Authorization: Bearer " + old_key->key + "\r\n";
  const std::string with_new = "Authorization: Bearer " + new_key->key + "\r\n";
  start_yaml(yaml({&one}));
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
  write(old_key->entry, "requests_per_min: 100");
  const std::string keyed = yaml({&one}, "", "keys_file: " + path + "\n");
  ASSERT_TRUE(reload(keyed).ok());
  EXPECT_EQ(ask(std::string(kChat)).status, 401);
  EXPECT_EQ(ask(std::string(kChat), with_old).status, 200);
  write(new_key->entry, "models: [other]");
  ASSERT_TRUE(reload(keyed).ok());
  EXPECT_EQ(ask(std::string(kChat), with_old).status, 401);
  EXPECT_EQ(ask(std::string(kChat), with_new).status, 404) << "a limit of the tenant";
  const auto open = reload(yaml({&one}));
  ASSERT_FALSE(open.ok()) << "no reload opens a gateway";
  EXPECT_NE(open.error().message.find("keys_file is missing"), std::string::npos);
  EXPECT_EQ(ask(std::string(kChat)).status, 401);
}

// Shares that a rollout moved stay, unless the file has others.
TEST_F(ReloadTest, MovedSharesStay) {
  FakeUpstream& one = add("one");
  FakeUpstream& two = add("two");
  const auto split = [&](int first, int second) {
    return std::string(kListen) + "upstreams: {s: {endpoints: [\"" + one.url() +
           "\"]}, c: {endpoints: [\"" + two.url() +
           "\"]}}\nmodels: {chat: {targets: [{upstream: s, release: r1, weight: " +
           std::to_string(first) +
           "}, {upstream: c, release: r2, weight: " + std::to_string(second) + "}]}}\n";
  };
  start_yaml(split(100, 0));
  EXPECT_EQ(admin("/admin/rollout/weights", "PUT", R"({"weights":{"r1":30,"r2":70}})").status, 200);
  ASSERT_TRUE(reload("error_budget: 0.1\n" + split(100, 0)).ok());
  EXPECT_NE(admin("/admin/rollout").body.find(R"("weights":{"r1":30,"r2":70})"), std::string::npos);
  ASSERT_TRUE(reload(split(90, 10)).ok());
  EXPECT_NE(admin("/admin/rollout").body.find(R"("weights":{"r1":90,"r2":10})"), std::string::npos);
  // Releases that the file has no more are told no more.
  ASSERT_TRUE(reload(yaml({&one})).ok());
  const std::string rollout = admin("/admin/rollout").body;
  EXPECT_NE(rollout.find(R"("pods":{)"), std::string::npos) << rollout;
  EXPECT_EQ(rollout.find(R"("r1")"), std::string::npos) << rollout;
}

// A model that others answer has no releases; and what its steps cost goes by the names of their
// upstreams, whatever the order of those in the file.
TEST_F(ReloadTest, ModelsWithoutTargets) {
  FakeUpstream& one = add("one", "echo");
  FakeUpstream& two = add("two", "echo");
  const std::string small = "s: {endpoints: [\"" + one.url() + "\"]}";
  const std::string large = "l: {endpoints: [\"" + two.url() + "\"]}";
  const auto file = [](const std::string& first, const std::string& second) {
    return std::string(kListen) + "upstreams: {" + first + ", " + second + R"(}
models:
  small: {targets: [{upstream: s}]}
  large: {targets: [{upstream: l}]}
  chat: {targets: [{upstream: s, release: r1}, {upstream: l, release: r2}]}
  smart: {cascade: {max_cost: "0.000001", steps: [{model: small, check: {regex: "^z"}}, {model: large}]}}
prices:
  - {upstream: s, model: small, input: "0.001", output: "0.001", date: 2026-11-30}
  - {upstream: l, model: large, input: "1000", output: "1000", date: 2026-11-30}
)";
  };
  const auto told = [&] {
    const http::Response r =
        ask(R"({"model":"smart","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(r.status, 200) << r.body;
    return std::string(r.headers.find("x-weir-cascade").value_or(""));
  };
  start_yaml(file(small, large));
  const std::string too_dear = "small:rejected(regex),large:skipped(max_cost)";
  EXPECT_EQ(told(), too_dear);
  ASSERT_TRUE(reload(file(large, small)).ok());
  EXPECT_EQ(told(), too_dear);
  EXPECT_EQ(admin("/admin/rollout/weights", "PUT", R"({"weights":{"r1":30,"r2":70}})").status, 200);
  ASSERT_TRUE(reload(file(small, large)).ok());
  EXPECT_EQ(told(), too_dear);
  const http::Response rollout = admin("/admin/rollout");
  EXPECT_NE(rollout.body.find(R"("weights":{"r1":30,"r2":70})"), std::string::npos) << rollout.body;
}

// Whom https is believed by comes anew from the file, also when its name and all else stay, and
// when the pool had no https before.
TEST_F(ReloadTest, Authorities) {
  FakeUpstream& plain = add("plain");
  const os::TempDir dir;
  const std::string own = dir.path() + "/own.pem";
  const std::string ca = dir.path() + "/ca.pem";
  const std::string key = dir.path() + "/key.pem";
  const auto good = http::make_identity("upstream", -60, 3600, nullptr, "IP:127.0.0.1");
  http::write_identity(good, own, key);
  http::write_identity(http::make_identity("other", -60, 3600), ca, dir.path() + "/other.pem");
  auto tls = http::TlsContext::load({own, key, ""});
  ASSERT_TRUE(tls.ok()) << tls.error().message;
  http::ServerOptions options;
  options.tls = *tls;
  auto server = http::Server::start(
      std::move(options),
      [](const http::Request&, http::ResponseWriter w) {
        w.send(http::json_response(200, R"({"choices":[]})"));
      },
      {}, clock_);
  ASSERT_TRUE(server.ok()) << server.error().message;
  const std::string pool = "ca_file: " + ca + ", breaker: {in_a_row: 100}, health: {fall: 100}, ";
  std::string secure = yaml({&plain}, pool);
  const std::string url = "https://127.0.0.1:" + std::to_string((*server)->port());
  secure.replace(secure.find(plain.url()), plain.url().size(), url);
  start_yaml(yaml({&plain}, pool));
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
  ASSERT_TRUE(reload(secure).ok());
  EXPECT_NE(ask(std::string(kChat)).status, 200) << "another one's authority";
  http::write_identity(good, ca, dir.path() + "/other.pem");
  ASSERT_TRUE(reload(secure).ok());
  EXPECT_EQ(ask(std::string(kChat)).status, 200);
  gateway_.reset();  // its connections go before the server does
}

}  // namespace
}  // namespace weir::gateway
