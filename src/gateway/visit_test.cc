// What a gateway keeps of answers and changes in requests: cache, idempotency, budgets, redaction.
#include "gateway/visit.h"

#include <gtest/gtest.h>

#include <deque>
#include <thread>
#include <vector>

#include "gateway/gateway_testing.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

class VisitTest : public GatewayTest {
 protected:
  // top: lines of the file, model: members of models.chat.
  void run(const std::string& top, const std::string& model = "") {
    std::string urls;
    for (const auto& u : upstreams_) urls += "\"" + u->url() + "\",";
    start_yaml("listen: {port: 0}\n" + top + "\nupstreams:\n  pods: {endpoints: [" + urls +
               "]}\nmodels:\n  chat: {" + model + "targets: [{upstream: pods}]}\n");
  }
  static std::string chat(const std::string& text, const std::string& more = "") {
    return R"({"model":"chat","temperature":0,)" + more +
           R"("messages":[{"role":"user","content":")" + text + "\"}]}";
  }
  static std::string content(const http::Response& r) {
    const auto json = text::Json::parse(r.body);
    if (!json.ok() || json->find("choices") == nullptr) return r.body;
    return json->find("choices")->items()[0].find("message")->find("content")->as_string();
  }
  // Of a stream: all its text.
  static std::string streamed(const http::Response& r) {
    std::string text;
    http::SseReader reader;
    EXPECT_TRUE(reader
                    .feed(r.body,
                          [&text](const http::SseEvent& e) {
                            const auto json = text::Json::parse(e.data);
                            if (!json.ok() || json->find("choices") == nullptr) return;
                            const auto& choices = json->find("choices")->items();
                            if (choices.empty()) return;
                            const auto* piece = choices[0].find("delta")->find("content");
                            if (piece != nullptr && piece->is_string()) text += piece->as_string();
                          })
                    .ok());
    return text;
  }
};

TEST_F(VisitTest, TheSameQuestionIsAnsweredFromTheCache) {
  FakeUpstream& u = add("one", "echo");
  run("cache: {enabled: true}\nadmin: {port: 0, token_env: T}");
  EXPECT_EQ(ask(chat("a")).headers.find("x-weir-cache"), "miss");
  const http::Response again = ask(chat("a", R"("user":"other",)"));
  EXPECT_EQ(again.headers.find("x-weir-cache"), "hit");
  EXPECT_EQ(again.headers.find("age"), "0");
  EXPECT_EQ(content(again), "a");
  EXPECT_EQ(u.requests(), 1);
  const http::Response stream = ask(chat("a", R"("stream":true,)"));
  EXPECT_EQ(stream.headers.find("x-weir-cache"), "hit");
  EXPECT_EQ(stream.headers.find("content-type"), "text/event-stream");
  EXPECT_EQ(streamed(stream), "a");
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(u.requests(), 1);
  EXPECT_EQ(metric("weir_gateway_cache_total{result=\"hit\"}"), "2");
  const std::string admin = http::TestClient(gateway_->admin_port())
                                .exchange(http::get("/admin/cache", "Authorization: Bearer t\r\n"))
                                ->body;
  EXPECT_NE(admin.find("\"hits\":2,\"stale_hits\":0,\"misses\":1,"), std::string::npos) << admin;
}

TEST_F(VisitTest, AStreamIsKeptAsWell) {
  FakeUpstream& u = add("one", "echo");
  run("cache: {enabled: true}");
  EXPECT_EQ(streamed(ask(chat("hello there", R"("stream":true,)"))), "hello there");
  const http::Response whole = ask(chat("hello there"));
  EXPECT_EQ(whole.headers.find("x-weir-cache"), "hit");
  EXPECT_EQ(content(whole), "hello there");
  EXPECT_EQ(u.requests(), 1);
}

TEST_F(VisitTest, OnlyWhatMayBeKeptIs) {
  FakeUpstream& u = add("one", "echo");
  run("cache: {enabled: true}");
  const std::string warm = R"({"model":"chat","messages":[{"role":"user","content":"w"}]})";
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(ask(warm).headers.contains("x-weir-cache"));
  EXPECT_EQ(u.requests(), 2);
  EXPECT_EQ(ask(warm, "x-weir-cache: on\r\n").headers.find("x-weir-cache"), "miss");
  EXPECT_EQ(ask(warm, "x-weir-cache: on\r\n").headers.find("x-weir-cache"), "hit");
  EXPECT_EQ(ask(warm, "x-weir-cache: refresh\r\n").headers.find("x-weir-cache"), "refresh");
  EXPECT_EQ(ask(warm, "x-weir-cache: perhaps\r\n").status, 400);
  EXPECT_EQ(u.requests(), 4);
  u.behave("status-400");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ask(chat("bad")).status, 400);
  EXPECT_EQ(u.requests(), 6);
  u.behave("cut");
  for (int i = 0; i < 2; ++i) (void)ask(chat("bad", R"("stream":true,)"));
  EXPECT_EQ(u.requests(), 8);
}

TEST_F(VisitTest, OneAsksForAllThatAskTheSameAtOnce) {
  FakeUpstream& u = add("one", "slow");
  run("cache: {enabled: true}");
  std::vector<std::thread> askers;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i)
    askers.emplace_back([this, &good] { good += ask(chat("same")).status == 200 ? 1 : 0; });
  for (std::thread& t : askers) t.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(u.requests(), 1);
}

TEST_F(VisitTest, AFailureIsNotSentOnceForEachWhoAsks) {
  FakeUpstream& u = add("one", "status-400");
  run("cache: {enabled: true}");
  std::vector<std::thread> askers;
  std::atomic<int> bad{0};
  for (int i = 0; i < 16; ++i)
    askers.emplace_back([this, &bad] { bad += ask(chat("same")).status == 400 ? 1 : 0; });
  for (std::thread& t : askers) t.join();
  EXPECT_EQ(bad, 16);
  EXPECT_LE(u.requests(), 16);
  EXPECT_EQ(metric("weir_gateway_in_flight"), "0");
}

TEST_F(VisitTest, AStaleAnswerIsGivenWhileANewOneIsFetched) {
  FakeUpstream& u = add("one", "echo");
  run("cache: {enabled: true, ttl_s: 1, stale_s: 60}");
  EXPECT_EQ(ask(chat("a")).status, 200);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));
  EXPECT_EQ(ask(chat("a")).headers.find("x-weir-cache"), "stale");
  for (int i = 0; i < 100 && u.requests() < 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(ask(chat("a")).headers.find("x-weir-cache"), "hit");
  EXPECT_EQ(u.requests(), 2);
}

TEST_F(VisitTest, TheSameIdempotencyKeyIsDoneOnce) {
  FakeUpstream& u = add("one", "echo");
  run("");
  const std::string key = "Idempotency-Key: k1\r\n";
  const http::Response first = ask(chat("a"), key);
  EXPECT_FALSE(first.headers.contains("idempotent-replayed"));
  const http::Response second = ask(chat("a"), key);
  EXPECT_EQ(second.headers.find("idempotent-replayed"), "true");
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(u.requests(), 1);
  const http::Response other = ask(chat("b"), key);
  EXPECT_EQ(other.status, 400);
  EXPECT_NE(other.body.find("another body"), std::string::npos);
  EXPECT_EQ(ask(chat("a"), "Idempotency-Key: " + std::string(256, 'x') + "\r\n").status, 400);
  const std::string stream = chat("a", R"("stream":true,)");
  const http::Response s1 = ask(stream, "Idempotency-Key: k2\r\n");
  const http::Response s2 = ask(stream, "Idempotency-Key: k2\r\n");
  EXPECT_EQ(s1.body, s2.body);
  EXPECT_EQ(s2.headers.find("content-type"), "text/event-stream");
  EXPECT_EQ(u.requests(), 2);
}

TEST_F(VisitTest, AFailedRequestMayBeSentAgainUnderItsKey) {
  FakeUpstream& u = add("one", "status-500");
  run("", "retries: {max_attempts: 1}, ");
  EXPECT_GE(ask(chat("a"), "Idempotency-Key: k\r\n").status, 500);
  u.behave("echo");
  const http::Response r = ask(chat("a"), "Idempotency-Key: k\r\n");
  EXPECT_EQ(r.status, 200);
  EXPECT_FALSE(r.headers.contains("idempotent-replayed"));
}

TEST_F(VisitTest, TheSameKeyAtOnceWaitsOrIsToldSo) {
  for (const bool wait : {true, false}) {
    upstreams_.clear();
    FakeUpstream& u = add("one", "slow");
    run(wait ? "" : "idempotency: {wait: false}");
    std::vector<std::thread> askers;
    std::atomic<int> good{0}, replayed{0}, conflicts{0};
    for (int i = 0; i < 4; ++i) {
      askers.emplace_back([&] {
        const http::Response r = ask(chat("same"), "Idempotency-Key: k\r\n");
        good += r.status == 200 ? 1 : 0;
        replayed += r.headers.contains("idempotent-replayed") ? 1 : 0;
        conflicts += r.status == 409 ? 1 : 0;
      });
    }
    for (std::thread& t : askers) t.join();
    EXPECT_EQ(u.requests(), 1);
    EXPECT_EQ(good, wait ? 4 : 1);
    EXPECT_EQ(replayed, wait ? 3 : 0);
    EXPECT_EQ(conflicts, wait ? 0 : 3);
    gateway_.reset();
  }
}

TEST_F(VisitTest, IdempotencyOutlivesTheGateway) {
  const os::TempDir dir;
  FakeUpstream& u = add("one", "echo");
  for (int i = 0; i < 2; ++i) {
    run("idempotency: {file: " + dir.file("i.db") + "}");
    EXPECT_EQ(ask(chat("a"), "Idempotency-Key: k\r\n").headers.contains("idempotent-replayed"),
              i == 1);
    gateway_.reset();
  }
  EXPECT_EQ(u.requests(), 1);
}

TEST_F(VisitTest, APromptBeyondItsBudgetIsRefusedOrMadeShorter) {
  FakeUpstream& u = add("one", "echo");
  const std::string old(4'000, 'x');
  const std::string body =
      R"({"model":"chat","messages":[{"role":"system","content":"be brief"},)"
      R"({"role":"user","content":")" +
      old + R"("},{"role":"assistant","content":"ok"},{"role":"user","content":"now"}]})";
  run("", "max_input_tokens: 100, ");
  const http::Response refused = ask(body);
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("max_input_tokens_exceeded"), std::string::npos);
  EXPECT_EQ(u.requests(), 0);
  gateway_.reset();
  run("", "max_input_tokens: 100, over_budget: truncate, ");
  const http::Response cut = ask(body);
  EXPECT_EQ(cut.status, 200);
  EXPECT_TRUE(cut.headers.find("x-weir-prompt-budget").value_or("").starts_with("truncate;"));
  EXPECT_EQ(u.last().body.find("xxxx"), std::string::npos);
  EXPECT_NE(u.last().body.find("be brief"), std::string::npos);
}

TEST_F(VisitTest, MessagesThatAreNoneAreRefused) {
  add("one", "echo");
  run("cache: {enabled: true}", "max_input_tokens: 100, over_budget: compress, redact: true, ");
  for (const char* messages : {"[null]", "[[]]", "[5]", "[{}]", "[{\"role\":1}]"}) {
    const http::Response r =
        ask(std::string(R"({"model":"chat","temperature":0,"messages":)") + messages + "}");
    EXPECT_LT(r.status, 500) << messages << r.body;
  }
  EXPECT_EQ(metric("weir_gateway_in_flight"), "0");
}

TEST_F(VisitTest, WhatIsRedactedComesBackInTheAnswer) {
  FakeUpstream& u = add("one", "echo");
  run("redaction: {patterns: [\"PROJECT-[0-9]+\"]}", "redact: true, ");
  const std::string text = "write to ann@example.com about PROJECT-77";
  EXPECT_EQ(content(ask(chat(text))), text);
  const std::string seen = u.last().body;
  EXPECT_EQ(seen.find("ann@"), std::string::npos) << seen;
  EXPECT_EQ(seen.find("PROJECT-77"), std::string::npos) << seen;
  EXPECT_EQ(streamed(ask(chat(text, R"("stream":true,)"))), text);
  const std::string messages =
      R"({"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"ann@example.com"}]})";
  TestClient client(gateway_->port());
  EXPECT_EQ(client.exchange(post(messages, "", "/v1/messages"))->status, 400);
}

// A file that is read again brings its patterns with it: nothing goes out that it says must not.
TEST_F(VisitTest, APatternThatIsReadAgainHoldsAtOnce) {
  FakeUpstream& u = add("one", "echo");
  run("");
  const std::string text = "about PROJECT-77";
  EXPECT_EQ(content(ask(chat(text))), text);
  EXPECT_NE(u.last().body.find("PROJECT-77"), std::string::npos);
  auto next = config_of(
      "listen: {port: 0}\nredaction: {patterns: [\"PROJECT-[0-9]+\"]}\n"
      "upstreams:\n  pods: {endpoints: [\"" +
      u.url() + "\"]}\nmodels:\n  chat: {redact: true, targets: [{upstream: pods}]}\n");
  ASSERT_TRUE(next.ok()) << next.error().message;
  const auto restart = gateway_->reload(std::move(*next));
  ASSERT_TRUE(restart.ok()) << restart.error().message;
  EXPECT_TRUE(restart->empty());
  EXPECT_EQ(content(ask(chat(text))), text);
  EXPECT_EQ(u.last().body.find("PROJECT-77"), std::string::npos) << u.last().body;
}

TEST_F(VisitTest, AKeyInAnAnswerIsKeptBack) {
  add("one", "echo");
  const std::string text = "the key is sk-abcdefghijklmnopqrstuvwxyz0123456789ABCD";
  run("", "leak_check: block, ");
  const http::Response whole = ask(chat(text));
  EXPECT_EQ(whole.status, 502);
  EXPECT_NE(whole.body.find("answer_withheld"), std::string::npos);
  const http::Response stream = ask(chat(text, R"("stream":true,)"));
  EXPECT_EQ(stream.body.find("0123456789ABCD"), std::string::npos);
  EXPECT_NE(stream.body.find("answer_withheld"), std::string::npos);
  EXPECT_EQ(stream.body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(metric("weir_gateway_leaks_total"), "2");
  EXPECT_EQ(ask(chat("nothing to hide")).status, 200);
  gateway_.reset();
  run("", "leak_check: log, ");
  EXPECT_EQ(content(ask(chat(text))), text);
  EXPECT_EQ(metric("weir_gateway_leaks_total"), "1");
}

TEST_F(VisitTest, AQuestionThatMeansTheSameGetsTheSameAnswer) {
  FakeUpstream& u = add("one", "echo");
  FakeUpstream& e = add("embedder", "embed");
  start_yaml(
      "listen: {port: 0}\n"
      "cache: {enabled: true, semantic: {model: embedder, tenants: [\"*\"], threshold: 0.9}}\n"
      "upstreams:\n  pods: {endpoints: [\"" +
      u.url() + "\"]}\n  vectors: {endpoints: [\"" + e.url() +
      "\"]}\nmodels:\n  chat: {targets: [{upstream: pods}]}\n"
      "  embedder: {targets: [{upstream: vectors}]}\n");
  EXPECT_EQ(ask(chat("aaab")).headers.find("x-weir-cache"), "miss");
  const http::Response near = ask(chat("abaa"));
  EXPECT_EQ(near.headers.find("x-weir-cache"), "semantic");
  EXPECT_EQ(near.headers.find("x-weir-cache-similarity"), "1.0000");
  EXPECT_EQ(content(near), "aaab");
  EXPECT_EQ(ask(chat("bbbb")).headers.find("x-weir-cache"), "miss");
  EXPECT_EQ(u.requests(), 2);
  EXPECT_EQ(e.requests(), 3);
  e.behave("status-500");  // then it goes without
  EXPECT_EQ(ask(chat("baaa")).headers.find("x-weir-cache"), "miss");
}

TEST_F(VisitTest, TheGatewayMayEndWhileRequestsWaitForOneAnother) {
  FakeUpstream& u = add("one", "hang");
  run("cache: {enabled: true}");
  std::vector<http::TestClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(gateway_->port());
    clients.back().send(post(chat("same"), i < 3 ? "" : "Idempotency-Key: k\r\n"));
  }
  for (int i = 0; i < 1'000 && (metric("weir_gateway_in_flight") != "6" || u.requests() < 1); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(u.requests(), 1);
  gateway_.reset();
}

TEST_F(VisitTest, ALeaderWhoseClientLeavesHandsOver) {
  FakeUpstream& u = add("one", "hang");
  run("cache: {enabled: true}");
  http::TestClient first(gateway_->port());
  first.send(post(chat("same")));
  for (int i = 0; i < 200 && u.requests() < 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  http::TestClient second(gateway_->port());
  second.send(post(chat("same")));
  for (int i = 0; i < 200 && metric("weir_gateway_in_flight") != "2"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  u.behave("echo");
  first.close();
  const auto answer = second.read_response();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(content(*answer), "same");
  EXPECT_EQ(u.requests(), 2);
}

// The one that asks for all is refused for what is its own: another one leads.
TEST_F(VisitTest, ARefusedLeaderHandsOver) {
  FakeUpstream& u = add("one", "slow");
  run("cache: {enabled: true}", "shed: {max_in_flight: 1, max_queued: 1, max_wait_ms: 1}, ");
  std::thread busy([this] { (void)ask(chat("other")); });
  for (int i = 0; i < 200 && u.requests() < 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  std::vector<std::thread> askers;
  std::atomic<int> answers{0};
  for (int i = 0; i < 6; ++i)
    askers.emplace_back([this, &answers] { answers += ask(chat("same")).status > 0 ? 1 : 0; });
  for (std::thread& t : askers) t.join();
  busy.join();
  EXPECT_EQ(answers, 6);
  EXPECT_EQ(metric("weir_gateway_in_flight"), "0");
}

// Whoever waits for another's answer waits no longer than it would for its own.
TEST_F(VisitTest, AFollowersDeadlineIsItsOwn) {
  FakeUpstream& u = add("one", "hang");
  run("cache: {enabled: true}");
  http::TestClient leader(gateway_->port());
  leader.send(post(chat("same")));
  for (int i = 0; i < 500 && u.requests() < 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const http::Response late = ask(chat("same"), "x-weir-deadline-ms: 150\r\n");
  EXPECT_EQ(late.status, 504);
  EXPECT_NE(late.body.find("the client's deadline of 150 ms"), std::string::npos) << late.body;
  EXPECT_EQ(u.requests(), 1);
  leader.send(" ");
  leader.close();
  for (int i = 0; i < 500 && metric("weir_gateway_in_flight") != "0"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(metric("weir_gateway_in_flight"), "0");
}

// All clients of a question leave, in either order: nobody asks for nobody.
TEST_F(VisitTest, AllMayLeaveAtOnce) {
  FakeUpstream& u = add("one", "hang");
  run("cache: {enabled: true}");
  for (const bool first : {true, false}) {
    std::deque<http::TestClient> clients;
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back(gateway_->port());
      clients.back().send(post(chat(first ? "a" : "b")));
    }
    for (int i = 0; i < 500 && metric("weir_gateway_in_flight") != "3"; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    while (!clients.empty()) first ? clients.pop_front() : clients.pop_back();
    for (int i = 0; i < 500 && metric("weir_gateway_in_flight") != "0"; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(metric("weir_gateway_in_flight"), "0");
  }
  EXPECT_LE(u.requests(), 6);
}

// Too big to be kept: those who wait get answers all the same.
TEST_F(VisitTest, AnAnswerThatIsNotKeptIsNoFailure) {
  FakeUpstream& u = add("one", "echo");
  run("cache: {enabled: true, max_answer_bytes: 1024}");
  const std::string big(3'000, 'x');
  std::vector<std::thread> askers;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    askers.emplace_back([this, &good, &big, i] {
      const http::Response r = ask(chat(big, i % 2 == 0 ? "" : R"("stream":true,)"));
      good += r.status == 200 && (i % 2 == 0 ? content(r) : streamed(r)) == big ? 1 : 0;
    });
  }
  for (std::thread& t : askers) t.join();
  EXPECT_EQ(good, 8);
  EXPECT_GE(u.requests(), 1);
}

TEST_F(VisitTest, AnAnswerWithAKeyIsNotKept) {
  FakeUpstream& u = add("one", "echo");
  run("cache: {enabled: true}", "leak_check: log, ");
  const std::string text = "the key is sk-abcdefghijklmnopqrstuvwxyz0123456789ABCD";
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ask(chat(text)).headers.find("x-weir-cache"), "miss");
  EXPECT_EQ(u.requests(), 2);
}

// A page's form is no request: it needs no leave of the server that it is posted to.
TEST_F(VisitTest, OnlyJsonIsTakenForIt) {
  FakeUpstream& u = add("one", "echo");
  run("");
  http::TestClient client(gateway_->port());
  const std::string body = chat("a");
  const auto refused = client.exchange(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Type: "
      "text/plain\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 415);
  EXPECT_EQ(u.requests(), 0);
}

TEST_F(VisitTest, WhatAHeadWouldSayComesAsCommentsBehindOnesThatKeptWaiting) {
  FakeUpstream& u = add("one", "slow");
  const auto stream_of = [this](const std::string& model) {
    return ask(R"({"model":")" + model + R"(","stream":true,"messages":[]})");
  };
  start_yaml("listen: {port: 0}\nupstreams: {pods: {endpoints: [\"" + u.url() +
             "\"]}}\nmodels:\n  small: {targets: [{upstream: pods, release: r1}]}\n"
             "  soon: {cascade: {steps: [{model: small, check: {regex: one}}, {model: small}]}}\n"
             "  late: {cascade: {keep_alive_ms: 20, steps: [{model: small, check: {regex: one}}, "
             "{model: small}]}}\n");
  const http::Response late = stream_of("late");
  EXPECT_EQ(late.headers.find("x-weir-cascade"), std::nullopt);
  EXPECT_TRUE(late.body.starts_with(": keep-alive\n\n")) << late.body;
  for (const char* line : {"\n: x-weir-cascade: small:accepted\n", "\n: x-weir-upstream: pods\n",
                           "\n: x-weir-release: r1\n", "\n: x-weir-attempts: 1\n"})
    EXPECT_NE(late.body.find(line), std::string::npos) << line << late.body;
  EXPECT_EQ(streamed(late), "one");
  const http::Response soon = stream_of("soon");
  EXPECT_EQ(soon.headers.find("x-weir-cascade"), "small:accepted");
  EXPECT_EQ(soon.body.find("x-weir"), std::string::npos) << soon.body;
}

}  // namespace
}  // namespace weir::gateway
