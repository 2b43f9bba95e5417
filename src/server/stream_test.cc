// The WebSocket /v1/stream over loopback, with a fake model.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/websocket_test_util.h"
#include "server/server_testing.h"
#include "server/stream_message.h"

namespace weir::server {
namespace {

using http::client_frame;
using http::close_frame;
using http::text_frame;
using http::WebSocketClient;

class StreamTest : public ServerTest {
 protected:
  WebSocketClient connect(const std::string& fields = "") {
    return WebSocketClient(server_->port(), "/v1/stream", fields);
  }
  // Messages up to {"type":"done"}, an error, a cancellation or a close.
  static std::vector<std::string> answer(WebSocketClient& c) {
    std::vector<std::string> all;
    while (true) {
      all.push_back(c.read_text());
      const std::string& last = all.back();
      if (last.empty() || last.starts_with("closed") || last.starts_with(R"({"type":)") ||
          last.starts_with(R"({"error":)"))
        return all;
    }
  }
  static std::string text_of(const std::vector<std::string>& messages) {
    std::string text;
    for (const std::string& m : messages) {
      const auto message = Json::parse(m);
      const Json* choices = message->find("choices");
      if (choices != nullptr && choices->size() > 0)
        text += choices->items()[0].find("text")->as_string();
    }
    return text;
  }
};

TEST_F(StreamTest, TheSameChunksAsOverHttp) {
  start();
  const std::string members = R"("prompt":"hello","seed":1,"max_tokens":12,"ignore_eos":true)";
  const Json whole = parsed(ask(post("/v1/completions", "{" + members + "}")));
  WebSocketClient c = connect();
  ASSERT_TRUE(c.open());
  for (const char* type : {"", R"("type":"completions",)"}) {
    c.send(text_frame("{" + std::string(type) + members + "}"));
    const auto all = answer(c);
    EXPECT_EQ(all.back(), R"({"type":"done"})");
    EXPECT_GT(all.size(), 3U);
    EXPECT_EQ(text_of(all), whole.find("choices")->items()[0].find("text")->as_string());
  }
  c.send(text_frame(
      R"({"type":"chat.completions","messages":[{"role":"user","content":"he"}],"max_tokens":3})"));
  const auto chat = answer(c);
  ASSERT_NE(Json::parse(chat.front())->find("object"), nullptr) << chat.front();
  EXPECT_EQ(Json::parse(chat.front())->find("object")->as_string(), "chat.completion.chunk");
  EXPECT_EQ(chat.back(), R"({"type":"done"})");
  c.send(text_frame("{" + members + R"(,"stream":false})"));
  const std::string text = c.read_text();
  ASSERT_NE(Json::parse(text)->find("object"), nullptr) << text;
  EXPECT_EQ(Json::parse(text)->find("object")->as_string(), "text_completion");
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

TEST_F(StreamTest, WrongRequestsGetAnErrorAndTheConnectionGoesOn) {
  config_.api.strict = true;
  start();
  WebSocketClient c = connect();
  const struct {
    const char* message;
    const char* code;
  } cases[] = {{"{", "invalid_json"},
               {"[]", "invalid_value"},
               {"{}", "invalid_value"},
               {R"({"type":"sing"})", "invalid_value"},
               {R"({"type":7,"prompt":"a"})", "invalid_value"},
               {R"({"prompt":"a","n":0})", "invalid_value"},
               {R"({"prompt":"a","x":0})", "unknown_parameter"},
               {R"({"prompt":"a","model":"x"})", "model_not_found"},
               {R"({"prompt":"a","max_tokens":5000})", "context_length_exceeded"}};
  for (const auto& one : cases) {
    c.send(text_frame(one.message));
    const std::string error = c.read_text();
    ASSERT_TRUE(error.starts_with(R"({"error":)")) << error;
    EXPECT_EQ(Json::parse(error)->find("error")->find("code")->as_string(), one.code) << error;
  }
  c.send(text_frame(R"({"prompt":"a","max_tokens":2})"));
  EXPECT_EQ(answer(c).back(), R"({"type":"done"})");
}

TEST_F(StreamTest, CancelFreesThePagesAndTheNextRequestRuns) {
  step_us_ = 2000;
  start();
  WebSocketClient c = connect();
  for (int i = 0; i < 3; ++i) {
    c.send(text_frame(R"({"prompt":"hello","max_tokens":400,"ignore_eos":true})"));
    EXPECT_TRUE(c.read_text().starts_with("{\"id\""));
    c.send(text_frame(R"({"prompt":"hello"})"));
    while (!c.read_text().starts_with(R"({"error":)")) {
    }
    c.send(text_frame(R"({ "type" : "cancel" })"));
    EXPECT_EQ(answer(c).back(), R"({"type":"cancelled"})");
    EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
  }
  EXPECT_LT(engine_->stats().generated_tokens, 1000U);
}

TEST_F(StreamTest, CloseCodes) {
  config_.api_keys = {"k"};
  config_.http.body_bytes = 1000;
  start();
  const std::string key = "Authorization: Bearer k\r\n";
  const struct {
    std::string fields;
    std::string frames;
    int code;
  } cases[] = {{"", "", 1008},
               {"Authorization: Bearer x\r\n", "", 1008},
               {key + "Origin: https://evil.example\r\n", "", 1008},
               {key, client_frame(0x81, "{}", false), 1002},
               {key, client_frame(0x82, "{}"), 1003},
               {key, text_frame("\xff"), 1007},
               {key, text_frame(std::string(1001, ' ')), 1009},
               {key, close_frame(1000), 1000}};
  for (const auto& one : cases) {
    WebSocketClient c = connect(one.fields);
    ASSERT_TRUE(c.open());
    c.send(one.frames);
    EXPECT_EQ(c.read_close(), one.code);
  }
  {
    failing_ = true;
    WebSocketClient c = connect(key);
    c.send(text_frame(R"({"prompt":"a","stream":false})"));
    EXPECT_EQ(c.read_close(), 1011);
    failing_ = false;
  }
  server_->drain();
  EXPECT_EQ(connect(key).read_close(), 1013);
  EXPECT_EQ(ask(get("/v1/stream", key))->status, 426);
}

TEST_F(StreamTest, ASlowReaderPausesOnlyItsOwnRequest) {
  config_.http.write_buffer_bytes = 2000;
  start();
  WebSocketClient slow(server_->port(), "/v1/stream", "", 2048);
  slow.send(text_frame(R"({"prompt":"hello","max_tokens":450,"ignore_eos":true,"n":8})"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(complete(R"("max_tokens":20)")->status, 200);
  EXPECT_EQ(answer(slow).back(), R"({"type":"done"})");
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

TEST(StreamMessage, CancelIsRecognised) {
  EXPECT_TRUE(is_cancel_message(R"({"type":"cancel"})"));
  EXPECT_TRUE(is_cancel_message(R"( {"id":1,"type":"cancel"} )"));
  for (const char* other : {"", "cancel", R"("cancel")", R"({"type":"Cancel"})", R"({"type":1})",
                            R"(["cancel"])", R"({"prompt":"cancel"})"})
    EXPECT_FALSE(is_cancel_message(other)) << other;
  EXPECT_FALSE(is_cancel_message(R"({"type":"cancel","x":")" + std::string(300, 'x') + "\"}"));
}

// 1,000 requests cancelled in mid-stream, by every way out; all pages come back.
TEST_F(StreamTest, CancelStorm) {
  step_us_ = 200;
  limits_.max_queued_requests = 1000;
  start();
  constexpr int kRequests = 1000;
  constexpr int kAtOnce = 40;
  double slowest_ms = 0;
  for (int round = 0; round < kRequests / kAtOnce; ++round) {
    std::vector<TestClient> plain;
    std::vector<WebSocketClient> sockets;
    const std::string body =
        R"({"prompt":"hello","max_tokens":400,"ignore_eos":true,"stream":true})";
    for (int i = 0; i < kAtOnce / 2; ++i) {
      plain.push_back(client());
      plain.back().send(post("/v1/completions", body));
      sockets.push_back(connect());
      sockets.back().send(text_frame(body));
    }
    for (TestClient& c : plain) ASSERT_TRUE(c.read_head() && c.read_chunk());
    for (WebSocketClient& c : sockets) ASSERT_TRUE(c.read_text().starts_with("{\"id\""));
    const auto begin = std::chrono::steady_clock::now();
    for (size_t i = 0; i < plain.size(); ++i) i % 2 == 0 ? plain[i].reset() : plain[i].close();
    for (size_t i = 0; i < sockets.size(); ++i) {
      if (i % 3 == 0) sockets[i].send(text_frame(R"({"type":"cancel"})"));
      if (i % 3 == 1) sockets[i].send(close_frame(1000));
      if (i % 3 == 2) sockets[i].raw().reset();
    }
    ASSERT_TRUE(eventually([&] { return engine_is_empty(); })) << "round " << round;
    slowest_ms =
        std::max(slowest_ms,
                 std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
                     .count());
  }
  printf("cancel storm: %d requests, all pages free after at most %.0f ms\n", kRequests,
         slowest_ms);
  EXPECT_LT(engine_->stats().generated_tokens, kRequests * 400U);
  EXPECT_EQ(complete(R"("max_tokens":3)")->status, 200);
}

}  // namespace
}  // namespace weir::server
