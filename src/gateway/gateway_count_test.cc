// POST /v1/messages/count_tokens: at upstreams that can count, and where none can.
#include <gtest/gtest.h>

#include "gateway/gateway_testing.h"
#include "gateway/state/ledger_reader.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

class CountTest : public GatewayTest {
 protected:
  // pools: o of OpenAI's kind, a of Anthropic's, each with the endpoints that there are.
  void run(const std::string& models, const std::string& top = "") {
    std::string urls;
    for (const auto& u : upstreams_) urls += "\"" + u->url() + "\",";
    start_yaml("listen: {port: 0}\n" + top + "upstreams: {o: {endpoints: [" + urls +
               "]}, a: {engine: anthropic, endpoints: [" + urls + "]}}\nmodels:\n" + models);
  }
  http::Response count(const std::string& model, const std::string& more = "") {
    TestClient client(gateway_->port());
    const std::string body = R"({"model":")" + model + "\"," + more +
                             R"("messages":[{"role":"user","content":"12345678"}]})";
    const auto r = client.exchange(post(body, "", "/v1/messages/count_tokens"));
    EXPECT_TRUE(r.has_value());
    return r.value_or(http::Response{0, {}, ""});
  }
};

TEST_F(CountTest, AnUpstreamOfAnthropicsKindCounts) {
  FakeUpstream& u = add("one", "ok");
  run("  chat: {policy: round_robin, targets: [{upstream: o}, {upstream: a, model: claude}]}\n");
  for (int i = 0; i < 4; ++i) {
    const http::Response r = count("chat", R"("stream":true,)");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.body, R"({"input_tokens":42})");
    EXPECT_EQ(r.headers.find("x-weir-estimated"), std::nullopt);
    EXPECT_EQ(r.headers.find("x-weir-upstream"), "a");
  }
  EXPECT_EQ(u.requests(), 4);
  EXPECT_EQ(u.last().path, "/v1/messages/count_tokens");
  EXPECT_NE(u.last().body.find(R"("model":"claude")"), std::string::npos) << u.last().body;
}

TEST_F(CountTest, ItIsTriedElsewhereAsAnyOtherRequest) {
  FakeUpstream& bad = add("bad", "status-500");
  add("good", "ok");
  run("  chat: {policy: round_robin, targets: [{upstream: a}]}\n");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(count("chat").status, 200);
  EXPECT_GT(bad.requests(), 0);
}

TEST_F(CountTest, WhereNobodyCanCountAnEstimateIsToldAndThatItIsOne) {
  FakeUpstream& u = add("one", "ok");
  run("  chat: {targets: [{upstream: o}]}\n"
      "  quiet: {redact: true, targets: [{upstream: a}]}\n"
      "  both: {cascade: {steps: [{model: chat, check: {regex: a}}, {model: chat}]}}\n");
  for (const char* model : {"chat", "quiet", "both"}) {
    const http::Response r = count(model);
    EXPECT_EQ(r.status, 200) << model;
    EXPECT_EQ(r.body, R"({"input_tokens":6})") << model;  // eight bytes, and a message
    EXPECT_EQ(r.headers.find("x-weir-estimated"), "input_tokens") << model;
  }
  EXPECT_EQ(u.requests(), 0);
  EXPECT_EQ(count("nope").status, 404);
  EXPECT_NE(count("nope").body.find(R"("type":"error")"), std::string::npos);
}

TEST_F(CountTest, AnUpstreamThatTakesMessagesAloneIsNotTheClientsTrouble) {
  FakeUpstream& u = add("one", "nowhere");
  const os::TempDir dir;
  run("  chat: {targets: [{upstream: a, release: r1}]}\n",
      "admin: {port: 0, token_env: T}\nledger: {file: " + dir.file("l.db") + "}\n");
  const http::Response r = count("chat");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.body, R"({"input_tokens":6})");
  EXPECT_EQ(r.headers.find("x-weir-estimated"), "input_tokens");
  EXPECT_EQ(u.requests(), 1);
  const std::string rollout = admin("/admin/rollout?window_s=60").body;
  EXPECT_NE(rollout.find(R"("r1":{"requests":1,"burn_rate":0.0})"), std::string::npos) << rollout;
  gateway_.reset();
  auto reader = LedgerReader::open(dir.file("l.db"));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  int rows = 0;
  const auto look = [&rows](const LedgerEntry& entry) {
    ++rows;
    EXPECT_EQ(entry.row.end, LedgerEnd::kOk);
    EXPECT_EQ(entry.row.status, 404);
    return Status();
  };
  ASSERT_TRUE(reader->each({}, look).ok());
  EXPECT_EQ(rows, 1);
}

TEST_F(CountTest, ItIsARequestAndTakesNoTokens) {
  add("one", "ok");
  run("  chat: {targets: [{upstream: a}]}\n",
      "admin: {port: 0, token_env: T}\n"
      "quotas: [{name: few, metric: requests, window: minute, limit: 2}, "
      "{name: all, metric: total_tokens, window: minute, limit: 1}]\n");
  EXPECT_EQ(count("chat").status, 200);
  EXPECT_EQ(count("chat").status, 200);
  EXPECT_EQ(count("chat").status, 429);
  const std::string used = admin("/admin/quotas").body;
  EXPECT_NE(used.find(R"("limit":2,"used":2)"), std::string::npos) << used;
  EXPECT_NE(used.find(R"("limit":1,"used":0)"), std::string::npos) << used;
}

TEST_F(CountTest, SoIsAnEstimate) {
  FakeUpstream& u = add("one", "ok");
  run("  chat: {targets: [{upstream: o}]}\n",
      "admin: {port: 0, token_env: T}\n"
      "quotas: [{name: few, metric: requests, window: minute, limit: 2}, "
      "{name: all, metric: total_tokens, window: minute, limit: 1}]\n");
  EXPECT_EQ(count("chat", R"("messages":7,)").status, 400) << "it takes nothing";
  EXPECT_EQ(count("chat").status, 200);
  const http::Response second = count("chat");
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.headers.find("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(count("chat").status, 429);
  const std::string used = admin("/admin/quotas").body;
  EXPECT_NE(used.find(R"("limit":2,"used":2)"), std::string::npos) << used;
  EXPECT_NE(used.find(R"("limit":1,"used":0)"), std::string::npos) << used;
  EXPECT_EQ(u.requests(), 0);
}

}  // namespace
}  // namespace weir::gateway
