// Which answers a gateway keeps for others, and what it says of one that it kept.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>
#include <vector>

#include "access/keys_file.h"
#include "gateway/answer_recorder.h"
#include "gateway/gateway_testing.h"
#include "gateway/state/unix_peer_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

class KeptTest : public GatewayTest {
 protected:
  // A model behind an upstream of Anthropic's kind, which gets no temperature.
  void run(const std::string& cache = "cache: {enabled: true}", const std::string& more = "") {
    start_yaml("listen: {port: 0}\n" + cache +
               "\nupstreams:\n  hosted: {engine: anthropic, endpoints: [\"" +
               upstreams_.front()->url() + "\"]}\n" +
               (upstreams_.size() > 1
                    ? "  vectors: {endpoints: [\"" + upstreams_.back()->url() + "\"]}\n"
                    : "") +
               "models:\n  chat: {" + more + "targets: [{upstream: hosted}]}\n" +
               (upstreams_.size() > 1 ? "  embedder: {targets: [{upstream: vectors}]}\n" : ""));
  }
  static std::string chat(const std::string& text, const std::string& more = "") {
    return R"({"model":"chat","temperature":0,"max_tokens":9,)" + more +
           R"("messages":[{"role":"user","content":")" + text + "\"}]}";
  }
  // A keys file with a tenant of these limits; its key as a field of a request.
  std::string tenant(const std::string& limits) {
    const auto made = access::make_key("acme", false);
    EXPECT_TRUE(made.ok());
    EXPECT_TRUE(os::write_file_atomic(keys_, "tenants:\n  acme: {" + limits + "}\nkeys:\n" +
                                                 access::render_entry(made->entry))
                    .ok());
    EXPECT_EQ(::chmod(keys_.c_str(), 0600), 0);
    return "Authorization: Bearer " + made->key + "\r\n";
  }
  const os::TempDir dir_;
  const std::string keys_ = dir_.file("keys.yaml");
  std::string said(const std::string& body, const std::string& fields = "") {
    const http::Response r = ask(body, fields);
    EXPECT_EQ(r.status, 200) << r.body;
    return std::string(r.headers.find("x-weir-cache").value_or(""));
  }
};

// It was drawn at the upstream's own temperature: the next answer would differ.
TEST_F(KeptTest, AnAnswerWithoutItsTemperatureIsNot) {
  FakeUpstream& u = add("one", "message");
  run();
  const http::Response first = ask(chat("a"));
  EXPECT_EQ(first.headers.find("x-weir-altered"), "temperature");
  EXPECT_EQ(first.headers.find("x-weir-cache"), "miss");
  EXPECT_EQ(said(chat("a")), "miss");
  EXPECT_EQ(said(chat("a", R"("stream":true,)")), "miss");
  EXPECT_EQ(said(chat("a")), "miss");
  EXPECT_EQ(u.requests(), 4);
}

// A client of Anthropic's kind: nothing is dropped on the way.
TEST_F(KeptTest, AnAnswerWithItsTemperatureIs) {
  FakeUpstream& u = add("one", "message");
  run();
  for (const char* how : {"miss", "hit"}) {
    TestClient client(gateway_->port());
    const auto r = client.exchange(post(chat("a"), "", "/v1/messages"));
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->status, 200) << r->body;
    EXPECT_EQ(r->headers.find("x-weir-cache"), how);
  }
  EXPECT_EQ(u.requests(), 1);
}

// They ask for what is kept whatever the temperature.
TEST_F(KeptTest, WithoutItsTemperatureToWhoAsksForIt) {
  add("one", "message");
  run();
  EXPECT_EQ(said(chat("a"), "x-weir-cache: on\r\n"), "miss");
  EXPECT_EQ(said(chat("a"), "x-weir-cache: on\r\n"), "hit");
  gateway_.reset();
  run("cache: {enabled: true}", "cache: always, ");
  EXPECT_EQ(said(chat("a")), "miss");
  EXPECT_EQ(said(chat("a")), "hit");
}

TEST_F(KeptTest, NorForQuestionsThatMeanTheSame) {
  FakeUpstream& u = add("one", "message");
  add("embedder", "embed");
  run("cache: {enabled: true, semantic: {model: embedder, tenants: [\"*\"], threshold: 0.9}}");
  EXPECT_EQ(said(chat("aaab")), "miss");
  EXPECT_EQ(said(chat("abaa")), "miss");
  EXPECT_EQ(u.requests(), 2);
}

TEST_F(KeptTest, NorForWhoAsksMeanwhile) {
  FakeUpstream& u = add("one", "slow-message");
  run();
  std::vector<std::thread> askers;
  std::atomic<int> good{0};
  for (int i = 0; i < 3; ++i)
    askers.emplace_back([this, &good] { good += ask(chat("same")).status == 200 ? 1 : 0; });
  for (std::thread& t : askers) t.join();
  EXPECT_EQ(good, 3);
  EXPECT_EQ(u.requests(), 3);
}

// One that was kept by x-weir-cache: on and is stale: who does not ask for it so gets it, and what
// is fetched in its place is not kept.
TEST_F(KeptTest, NorInPlaceOfAStaleOne) {
  FakeUpstream& u = add("one", "message");
  run("cache: {enabled: true, ttl_s: 1, stale_s: 60}");
  EXPECT_EQ(said(chat("a"), "x-weir-cache: on\r\n"), "miss");
  std::this_thread::sleep_for(std::chrono::milliseconds(1'050));
  EXPECT_EQ(said(chat("a")), "stale");
  for (int i = 0; i < 100 && u.requests() < 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(said(chat("a")), "stale");
}

// What is fetched in place of a stale one is a request of its tenant: their limits count it, and
// with nothing left of them the old answer stays.
TEST_F(KeptTest, ARevalidationCountsForTheKeysLimits) {
  FakeUpstream& u = add("one", "ok");
  const std::string key = tenant("requests_per_min: 5, concurrent: 1");
  start_yaml("listen: {port: 0}\nkeys_file: " + keys_ +
             "\ncache: {enabled: true, ttl_s: 1, stale_s: 60}\nupstreams: {pods: {endpoints: [\"" +
             u.url() + "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  const auto old = [] { std::this_thread::sleep_for(std::chrono::milliseconds(1'050)); };
  EXPECT_EQ(said(chat("a"), key), "miss");
  old();
  EXPECT_EQ(said(chat("a"), key), "stale");  // with the new one 3
  EXPECT_TRUE(http::eventually([&] { return u.requests() == 2; }));
  EXPECT_EQ(said(chat("a"), key), "hit");  // 4
  old();
  EXPECT_EQ(said(chat("a"), key), "stale");  // 5, and none is left
  EXPECT_EQ(ask(chat("a"), key).status, 429);
  EXPECT_EQ(u.requests(), 2);
}

// With nobody to ask for a new one the old answer costs what an answer costs, and no more.
TEST_F(KeptTest, ARevalidationThatAskedNobodyTakesNothing) {
  FakeUpstream& u = add("one", "ok");
  const std::string key = tenant("requests_per_min: 8");
  start_yaml("listen: {port: 0}\nkeys_file: " + keys_ +
             "\ncache: {enabled: true, ttl_s: 1, stale_s: 60}\nupstreams: {pods: {endpoints: [\"" +
             u.url() +
             "\"]}}\nmodels: {chat: {shed: {max_in_flight: 1, max_queued: 0}, "
             "targets: [{upstream: pods}]}}\n");
  EXPECT_EQ(said(chat("a"), key), "miss");
  u.behave("hang");
  TestClient hangs(gateway_->port());
  hangs.send(post(chat("b"), key));
  ASSERT_TRUE(http::eventually([&] { return u.requests() == 2; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1'050));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(said(chat("a"), key), "stale") << i;
  EXPECT_EQ(ask(chat("a"), key).status, 429);
  EXPECT_EQ(u.requests(), 2);
}

// Nor does what waited for a request that asked nobody: this one for quotas of a Redis that hangs,
// and then for a pool without endpoints.
TEST_F(KeptTest, WhoSharedARequestThatAskedNobodyTakesNothing) {
  FakeUpstream& u = add("one", "ok");
  const UnixPeer silent([](int peer) {
    char piece[4096];
    while (::recv(peer, piece, sizeof(piece), 0) > 0) {
    }
  });
  const std::string key = tenant("requests_per_min: 10");
  const std::string nobody(64, 'a');  // no name server is asked for so long a label
  start_yaml("listen: {port: 0}\nkeys_file: " + keys_ +
             "\ncache: {enabled: true}\nstate: {redis: {url: \"unix:" + silent.path() +
             "\", timeout_ms: 2000, on_failure: fail_open}}\n"
             "quotas: [{name: many, metric: requests, window: minute, limit: 1000}]\n"
             "upstreams: {pods: {endpoints: [\"" +
             u.url() + "\"]}, gone: {endpoints: {dns: {name: " + nobody +
             ".invalid, port: 1}}}}\nmodels: {chat: {targets: [{upstream: gone}]}, "
             "other: {targets: [{upstream: pods}]}}\n");
  std::vector<TestClient> asking;
  for (int i = 0; i < 8; ++i) {
    asking.emplace_back(gateway_->port());
    asking.back().send(post(chat("a"), key));
  }
  for (TestClient& c : asking) EXPECT_EQ(c.read_response()->status, 503);
  EXPECT_EQ(metric("weir_gateway_requests_total{end=\"shared_failure\"}"), "5");
  const std::string other = R"({"model":"other","messages":[{"role":"user","content":"hi"}]})";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(other, key).status, 200) << i;
  EXPECT_EQ(ask(other, key).status, 429);
}

TEST(AnswerRecorder, ReadsWhatWasAltered) {
  const auto lost = [](const std::string& altered) {
    AnswerRecorder recorder(1024);
    recorder.answer({200, {{"x-weir-altered", altered}}, "{}"});
    return recorder.lost_temperature();
  };
  EXPECT_TRUE(lost("temperature"));
  EXPECT_TRUE(lost("seed, temperature, top_p"));
  EXPECT_TRUE(lost("seed, ..."));
  for (const char* other : {"", "seed", "seed, top_p", "metadata.temperature", "temperatures"})
    EXPECT_FALSE(lost(other)) << other;
}

TEST_F(KeptTest, ACascadesAnswerSaysWhichStepsItTookAndNoRelease) {
  FakeUpstream& small = add("small", "echo");
  start_yaml("listen: {port: 0}\ncache: {enabled: true}\nupstreams:\n  pods: {endpoints: [\"" +
             small.url() +
             "\"]}\nmodels:\n  small: {targets: [{upstream: pods}]}\n"
             "  large: {targets: [{upstream: pods}]}\n"
             "  chat: {cascade: {steps: [{model: small, check: {regex: \"^z\"}}, "
             "{model: large}]}}\n");
  const std::string steps = "small:rejected(regex),large:accepted";
  for (const char* how : {"miss", "hit"}) {
    const http::Response r = ask(chat("a"));
    EXPECT_EQ(r.headers.find("x-weir-cache"), how);
    EXPECT_EQ(r.headers.find("x-weir-cascade"), steps);
    EXPECT_NE(r.headers.find("x-weir-release"), "");
  }
  const http::Response stream = ask(chat("a", R"("stream":true,)"));
  EXPECT_EQ(stream.headers.find("x-weir-cache"), "hit");
  EXPECT_EQ(stream.headers.find("x-weir-cascade"), steps);
  EXPECT_FALSE(stream.headers.contains("x-weir-release"));
}

}  // namespace
}  // namespace weir::gateway
