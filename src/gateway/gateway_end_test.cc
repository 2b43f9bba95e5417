// The end of a gateway: who is drained, who is told, and what it waits for; and what its log says.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "access/keys_file.h"
#include "gateway/gateway_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

// Keys whose check takes long: the gateway ends while they wait for it.
TEST_F(GatewayTest, MayEndWhileKeysAreChecked) {
  add("one");
  const auto slow = access::make_key("slow", /*argon2=*/true);
  ASSERT_TRUE(slow.ok());
  const os::TempDir dir;
  const std::string keys = dir.path() + "/keys.yaml";
  ASSERT_TRUE(os::write_file_atomic(
                  keys, "tenants:\n  slow: {}\nkeys:\n" + access::render_entry(slow->entry))
                  .ok());
  ASSERT_EQ(::chmod(keys.c_str(), 0600), 0);
  start_yaml("listen: {port: 0}\nkeys_file: " + keys + "\nupstreams: {pods: {endpoints: [\"" +
             upstreams_[0]->url() + "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  std::deque<TestClient> clients;
  // Of that id, so that each is checked, and no good, so that none is remembered.
  for (int i = 0; i < 4; ++i)
    clients.emplace_back(gateway_->port())
        .send(post(std::string(kChat), "Authorization: Bearer " + slow->key + "x\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  gateway_.reset();
}

// Before the first byte, in the middle, behind another one that asks the same, behind one with the
// same key, in a cascade, and in front of a full model.
TEST_F(GatewayTest, WhoIsLeftWhenTheTimeIsOverIsToldSo) {
  FakeUpstream& hangs = add("one", "hang");
  FakeUpstream& begun = add("two", "stall");
  start_yaml("listen: {port: 0}\ncache: {enabled: true}\nupstreams:\n  a: {endpoints: [\"" +
             hangs.url() + "\"]}\n  b: {endpoints: [\"" + begun.url() +
             "\"]}\nmodels:\n  chat: {targets: [{upstream: a}]}\n  begun: {targets: [{upstream: "
             "b}]}\n  same: {cache: always, targets: [{upstream: a}]}\n  full: {shed: "
             "{max_in_flight: 1, max_wait_ms: 60000}, targets: [{upstream: a}]}\n  smart: "
             "{cascade: {steps: [{model: chat, check: {regex: x}}, {model: chat}]}}\n");
  const auto named = [](const std::string& model, const std::string& body) {
    std::string out = body;
    return out.replace(out.find("chat"), 4, model);
  };
  std::vector<std::pair<std::unique_ptr<TestClient>, std::string>> clients;
  const auto send = [&](const std::string& model, std::string_view body,
                        const std::string& fields = "") {
    clients.emplace_back(std::make_unique<TestClient>(gateway_->port()), model);
    ASSERT_TRUE(clients.back().first->send(post(named(model, std::string(body)), fields)));
  };
  send("chat", kChat);
  send("chat", kStream);
  send("chat", kChat, "Idempotency-Key: k\r\n");
  send("chat", kChat, "Idempotency-Key: k\r\n");
  for (int i = 0; i < 3; ++i) send("same", kChat);
  for (int i = 0; i < 3; ++i) send("full", kChat);
  send("smart", kChat);
  send("begun", kStream);
  ASSERT_TRUE(http::eventually([&] { return metric("weir_gateway_in_flight") == "12"; }));
  ASSERT_TRUE(http::eventually([&] { return begun.requests() == 1 && hangs.requests() == 6; }));
  gateway_->drain();
  EXPECT_FALSE(gateway_->wait_drained(std::chrono::milliseconds(20)));
  gateway_->cut_short();
  EXPECT_EQ(metric("weir_gateway_in_flight"), "0");
  EXPECT_TRUE(gateway_->wait_drained(std::chrono::seconds(5)));
  for (auto& [client, model] : clients) {
    const auto r = client->read_response();
    ASSERT_TRUE(r.has_value()) << model;
    EXPECT_EQ(r->status, model == "begun" ? 200 : 503) << model;
    EXPECT_NE(r->body.find(R"("code":"server_overloaded")"), std::string::npos) << r->body;
    EXPECT_EQ(r->body.find("[DONE]"), std::string::npos);
    if (model == "begun") continue;
    EXPECT_EQ(r->headers.find("retry-after"), "1");
  }
}

TEST_F(GatewayTest, DrainsWhatIsInFlight) {
  FakeUpstream& u = add("one", "slow");
  start();
  TestClient client(gateway_->port());
  ASSERT_TRUE(client.send(post(std::string(kChat))));
  ASSERT_TRUE(http::eventually([&] { return u.requests() == 1; }));
  gateway_->drain();
  EXPECT_EQ(ask(std::string(kChat)).status, 503);
  EXPECT_TRUE(gateway_->wait_drained(std::chrono::seconds(5)));
  const auto r = client.read_response();
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->status, 200);
}

// ---- The log

TEST_F(GatewayTest, TheLogNamesModelAndUpstreamOfARequest) {
  add("one");
  start();
  log_.set_level(telemetry::LogLevel::kInfo);
  EXPECT_EQ(ask(std::string(kChat), "x-request-id: whole\r\n").status, 200);
  EXPECT_EQ(ask(std::string(kStream), "x-request-id: streamed\r\n").status, 200);
  EXPECT_EQ(ask(R"({"model":"status-500"})", "x-request-id: unknown\r\n").status, 404);
  for (const std::string id : {"whole", "streamed"}) {
    const std::string said = logged("request request_id=" + id);
    const size_t at = said.find("request_id=" + id);
    const std::string line = said.substr(at, said.find('\n', at) - at);
    EXPECT_NE(line.find(" model=chat upstream=pods"), std::string::npos) << line;
  }
  const std::string said = logged("request request_id=unknown");
  EXPECT_EQ(said.find("status-500"), std::string::npos) << "what a client made up is not logged";
}

// A client that leaves a stream: who served it, and what came by.
TEST_F(GatewayTest, TheLogNamesTheUpstreamOfWhatAClientLeft) {
  FakeUpstream& u = add("one", "trickle");
  start();
  log_.set_level(telemetry::LogLevel::kInfo);
  {
    TestClient client(gateway_->port());
    client.send(post(std::string(kStream), "x-request-id: left\r\n"));
    EXPECT_TRUE(http::eventually([&] { return u.requests() == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
  EXPECT_TRUE(http::eventually([&] { return u.gone() == 1; }));
  const std::string said = logged("request request_id=left");
  EXPECT_NE(said.find(" model=chat upstream=pods"), std::string::npos) << said;
  EXPECT_EQ(said.find("completion_tokens=0"), std::string::npos) << said;
}

TEST_F(GatewayTest, TheLogNamesWhoFailedLast) {
  add("one", "status-500");
  start("retries: {max_attempts: 1}, ");
  log_.set_level(telemetry::LogLevel::kInfo);
  EXPECT_EQ(ask(std::string(kChat), "x-request-id: failed\r\n").status, 502);
  EXPECT_NE(logged("request request_id=failed").find(" model=chat upstream=pods"),
            std::string::npos);
}

TEST_F(GatewayTest, LinesThatTheLogLostAreCounted) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> full(std::fopen("/dev/full", "w"),
                                                             std::fclose);
  ASSERT_NE(full, nullptr);
  std::setvbuf(full.get(), nullptr, _IONBF, 0);  // as stderr is
  telemetry::Logger log({.level = telemetry::LogLevel::kWarn, .file = full.get()});
  FakeUpstream& u = add("one");
  auto config = config_of("listen: {port: 0}\nupstreams: {pods: {endpoints: [\"" + u.url() +
                          "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  ASSERT_TRUE(config.ok()) << config.error().message;
  auto started = Gateway::start(std::move(*config), clock_, log, 1);
  ASSERT_TRUE(started.ok()) << started.error().message;
  gateway_ = std::move(*started);
  const std::string lost = "weir_gateway_log_lines_lost_total";
  EXPECT_EQ(metric(lost), "0");
  log.warn("one");
  log.warn("two");
  EXPECT_EQ(metric(lost), "2");
  log.warn("three");
  EXPECT_EQ(metric(lost), "3");
  EXPECT_EQ(metric("# TYPE " + lost), "counter");
  gateway_.reset();
}

}  // namespace
}  // namespace weir::gateway
