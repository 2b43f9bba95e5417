#include "http/websocket.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/server_test_util.h"
#include "http/websocket_test_util.h"

namespace weir::http {
namespace {

using namespace std::chrono_literals;
using Kind = WebSocketParser::Kind;

constexpr size_t kMaxMessage = 70'000;

// All events of some bytes that arrive in pieces of `step`, as text.
std::string events_of(std::string_view bytes, size_t step) {
  WebSocketParser parser(kMaxMessage);
  std::string out;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    while (!piece.empty()) {
      std::optional<WebSocketParser::Event> event;
      const size_t used = parser.feed(piece, event);
      piece.remove_prefix(used);
      if (event) {
        out += "TPOCE"[static_cast<int>(event->kind)];
        if (event->code != 0) out += std::to_string(event->code);
        if (event->kind != Kind::kError) out += "(" + event->data + ")";
      }
      if (event && (event->kind == Kind::kError || event->kind == Kind::kClose)) return out;
      if (used == 0 && !event) return out + "stuck";
    }
  }
  return out;
}

struct Case {
  std::string bytes;
  std::string events;
};

const std::string kLong(65'536, 'x');

std::vector<Case> good_cases() {
  return {
      {text_frame("hello"), "T(hello)"},
      {text_frame(""), "T()"},
      {text_frame("a") + text_frame("b"), "T(a)T(b)"},
      {text_frame(std::string(125, 'a')), "T(" + std::string(125, 'a') + ")"},
      {text_frame(std::string(126, 'a')), "T(" + std::string(126, 'a') + ")"},
      {text_frame(std::string(65'535, 'a')), "T(" + std::string(65'535, 'a') + ")"},
      {text_frame(kLong), "T(" + kLong + ")"},
      {text_frame("\xE2\x82\xAC \xF0\x9F\x98\x80"), "T(\xE2\x82\xAC \xF0\x9F\x98\x80)"},
      {text_frame("\xF4\x8F\xBF\xBF\xED\x9F\xBF"), "T(\xF4\x8F\xBF\xBF\xED\x9F\xBF)"},
      {client_frame(0x89, ""), "P()"},
      {client_frame(0x89, std::string(125, 'p')), "P(" + std::string(125, 'p') + ")"},
      {client_frame(0x8A, "x"), "O(x)"},
      {client_frame(0x01, "he") + client_frame(0x00, "l") + client_frame(0x80, "lo"), "T(hello)"},
      {client_frame(0x01, "") + client_frame(0x00, "") + client_frame(0x80, ""), "T()"},
      {client_frame(0x01, "he") + client_frame(0x89, "p") + client_frame(0x80, "y"), "P(p)T(hey)"},
      // A character over two fragments.
      {client_frame(0x01, "\xE2\x82") + client_frame(0x80, "\xAC"), "T(\xE2\x82\xAC)"},
      {client_frame(0x88, ""), "C1005()"},
      {close_frame(1000), "C1000()"},
      {close_frame(1001, "bye"), "C1001(bye)"},
      {close_frame(3000), "C3000()"},
      {close_frame(4999, "\xE2\x82\xAC"), "C4999(\xE2\x82\xAC)"},
      {client_frame(0x01, "he") + close_frame(1000), "C1000()"},
  };
}

std::vector<Case> bad_cases() {
  std::vector<Case> cases{
      {client_frame(0x81, "a", false), "E1002"},  // no mask
      {client_frame(0x89, "a", false), "E1002"},
      {client_frame(0x80, "a"), "E1002"},  // a continuation of nothing
      {client_frame(0x00, "a"), "E1002"},
      {text_frame("a") + client_frame(0x80, "a"), "T(a)E1002"},
      {client_frame(0x01, "a") + text_frame("b"), "E1002"},  // a message inside a message
      {client_frame(0x01, "a") + client_frame(0x82, "b"), "E1003"},
      {client_frame(0x82, "a"), "E1003"},  // binary
      {client_frame(0x02, "a"), "E1003"},
      {client_frame(0x09, "a"), "E1002"},  // control frames in fragments
      {client_frame(0x08, ""), "E1002"},
      {client_frame(0x0A, ""), "E1002"},
      {client_frame(0x89, std::string(126, 'p')), "E1002"},  // a long control frame
      {client_frame(0x88, std::string(126, 'p')), "E1002"},
      {client_frame(0x88, "x"), "E1002"},  // half a code
      {close_frame(1000, "\xFF"), "E1007"},
      {text_frame("\xFF"), "E1007"},
      {text_frame("\xC0\xAF"), "E1007"},
      {text_frame("\xE0\x80\xAF"), "E1007"},
      {text_frame("\xED\xA0\x80"), "E1007"},
      {text_frame("\xF4\x90\x80\x80"), "E1007"},
      {text_frame("\xF8\x88\x80\x80\x80"), "E1007"},
      {text_frame("\xE2\x82"), "E1007"},
      {text_frame("\x80"), "E1007"},
      {client_frame(0x01, "\xE2\x82") + client_frame(0x80, "x"), "E1007"},
      {text_frame(std::string(kMaxMessage + 1, 'a')), "E1009"},
      {client_frame(0x01, kLong) + client_frame(0x80, kLong), "E1009"},
      {std::string("\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0", 14), "E1002"},
      {std::string("\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0", 14), "E1009"},
      {std::string("\x81\xFE\0\x05\0\0\0\0hello", 13), "E1002"},  // not the shortest length
      {std::string("\x81\xFF\0\0\0\0\0\0\x05\0\0\0\0\0hello", 19), "E1002"},
  };
  for (int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15})
    cases.push_back({client_frame(0x80 | opcode, "a"), "E1002"});
  for (int reserved : {0x40, 0x20, 0x10, 0x70})  // 0x40 is permessage-deflate, never negotiated
    cases.push_back({client_frame(0x81 | reserved, "a"), "E1002"});
  for (int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535})
    cases.push_back({close_frame(code), "E1002"});
  return cases;
}

TEST(WebSocketParser, FramesBecomeEventsWhereverTheyAreCut) {
  for (const Case& c : good_cases()) {
    for (const size_t step :
         {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{1000}, c.bytes.size()})
      EXPECT_EQ(events_of(c.bytes, step), c.events) << step;
  }
}

TEST(WebSocketParser, BrokenFramesHaveTheirCode) {
  const auto cases = bad_cases();
  for (const Case& c : cases) {
    for (const size_t step : {size_t{1}, size_t{5}, c.bytes.size()})
      EXPECT_EQ(events_of(c.bytes, step), c.events)
          << testing::PrintToString(c.bytes.substr(0, 30)) << step;
  }
  printf("%zu good and %zu bad frame sequences\n", good_cases().size(), cases.size());
}

TEST(WebSocketParser, NothingComesOfHalfAFrame) {
  for (const Case& c : {good_cases()[0], good_cases()[4], good_cases()[12], good_cases()[18]}) {
    for (size_t cut = 0; cut < c.bytes.size(); ++cut) {
      const std::string events = events_of(std::string_view(c.bytes).substr(0, cut), cut + 1);
      EXPECT_EQ(events, "") << cut;
    }
  }
}

TEST(WebSocket, AcceptOfTheRfc) {
  Request r;
  r.method = "GET";
  r.headers = {{"connection", "keep-alive, Upgrade"},
               {"upgrade", "WebSocket"},
               {"sec-websocket-version", "13"},
               {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  ASSERT_TRUE(wants_websocket(r));
  EXPECT_EQ(*websocket_accept(r), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  for (const char* name : {"connection", "sec-websocket-version", "sec-websocket-key"}) {
    Request broken = r;
    broken.headers.set(name, "x");
    EXPECT_FALSE(websocket_accept(broken).ok()) << name;
  }
  r.version = 10;
  EXPECT_FALSE(websocket_accept(r).ok());
}

class WebSocketTest : public ServerTest {
 protected:
  void TearDown() override { server_.reset(); }  // its callbacks use members of this class

  // Messages are echoed with "again: "; a few words do something else.
  void serve() {
    options.websocket.is_cancel = [](std::string_view m) { return m == "cancel"; };
    options.websocket.on_message = [this](Request request, ResponseWriter writer) {
      const std::string body = request.body;
      if (body == "hold") {
        writer.on_closed([this](CloseReason) { ++withdrawn; });
        MutexLock lock(mutex);
        held = std::make_unique<ResponseWriter>(std::move(writer));
      } else if (body == "stream") {
        writer.begin_stream(200, {});
        writer.write("data: {\"n\":1}\n\ndata: {\"n\":2}\n\n: keep-alive\n\n");
        writer.write("data: [DONE]\n\n");
        writer.finish();
      } else if (body == "drop") {
      } else if (body == "throw") {
        throw std::runtime_error("on purpose");
      } else if (body.starts_with("status ")) {
        writer.send({std::stoi(body.substr(7)), {}, body});
      } else {
        writer.send({200, {}, "again: " + body.substr(0, 20)});
      }
    };
    start([](Request request, ResponseWriter writer) {
      if (!request.websocket) return writer.send({200, {}, "plain"}), void();
      const int status = request.path == "/401"   ? 401
                         : request.path == "/503" ? 503
                         : request.path == "/404" ? 404
                                                  : 101;
      writer.send({status, {}, "said"});
    });
  }
  WebSocketClient connect(const std::string& path = "/", const std::string& fields = "") {
    return WebSocketClient(server_->port(), path, fields);
  }
  std::atomic<int> withdrawn = 0;
  Mutex mutex;
  std::unique_ptr<ResponseWriter> held WEIR_GUARDED_BY(mutex);
};

TEST_F(WebSocketTest, MessagesAreAnsweredOneAfterTheOther) {
  serve();
  WebSocketClient c = connect();
  ASSERT_TRUE(c.open());
  EXPECT_EQ(c.head()->headers.find("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_FALSE(c.head()->headers.contains("sec-websocket-extensions"));
  for (int i = 0; i < 3; ++i) {
    c.send(text_frame("m" + std::to_string(i)));
    EXPECT_EQ(c.read_text(), "again: m" + std::to_string(i));
    EXPECT_EQ(c.read_text(), R"({"type":"done"})");
  }
  c.send(text_frame("stream"));
  EXPECT_EQ(c.read_text(), R"({"n":1})");
  EXPECT_EQ(c.read_text(), R"({"n":2})");
  EXPECT_EQ(c.read_text(), R"({"type":"done"})");
  c.send(close_frame(1000, "bye"));
  EXPECT_EQ(c.read_close(), 1000);
  EXPECT_TRUE(c.raw().wait_closed());
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(WebSocketTest, TheHandshakeAndEachMessageAreReported) {
  serve();
  WebSocketClient c = connect();
  for (const char* message : {"stream", "whole", "status 429", "hold", "cancel", "status 503"}) {
    c.send(text_frame(message));
    while (std::string_view(message) != "hold") {
      const std::string answer = c.read_text();
      if (answer.starts_with(R"({"type":)") || answer.starts_with("status")) break;
      ASSERT_FALSE(answer.starts_with("closed")) << message;
    }
  }
  EXPECT_EQ(c.read_close(), 1013);
  EXPECT_EQ(connect("/401").read_text(), "said");
  EXPECT_TRUE(eventually([&] { return observer.count("end: GET 401") == 1; }));
  EXPECT_EQ(observer.count("end: GET 101"), 1);
  EXPECT_EQ(observer.count("end: POST 200"), 2);
  EXPECT_EQ(observer.count("end: POST 429"), 1);
  EXPECT_EQ(observer.count("end: POST 0 peer_closed"), 1);
  EXPECT_EQ(observer.count("end: POST 503"), 1);
  EXPECT_EQ(observer.count("end without id"), 0);
  EXPECT_EQ(observer.count("429"), 1);
}

TEST_F(WebSocketTest, FramesMayComeWithTheHandshakeAndInAnyPieces) {
  serve();
  TestClient raw = client();
  std::string all = handshake("/") + text_frame("early");
  for (const char byte : all) ASSERT_TRUE(raw.send(std::string_view(&byte, 1)));
  std::string answer;
  while (answer.find("again: early") == std::string::npos) {
    const std::string piece = raw.receive();
    ASSERT_FALSE(piece.empty()) << answer;
    answer += piece;
  }
}

TEST_F(WebSocketTest, BrokenFramesCloseWithTheirCode) {
  options.limits.body_bytes = kMaxMessage;
  options.limits.linger_timeout = 100ms;
  serve();
  for (const Case& bad : bad_cases()) {
    WebSocketClient c = connect();
    ASSERT_TRUE(c.open());
    c.send(bad.bytes);
    const size_t at = bad.events.find('E');
    EXPECT_EQ(c.read_close(), std::stoi(bad.events.substr(at + 1)));
    EXPECT_TRUE(c.raw().wait_closed());
  }
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(WebSocketTest, PingsAreAnsweredAlsoInsideAMessageAndWhileARequestRuns) {
  serve();
  WebSocketClient c = connect();
  c.send(text_frame("hold") + client_frame(0x01, "x") + client_frame(0x89, "are you there"));
  auto frame = c.read_frame();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->opcode, 10);
  EXPECT_EQ(frame->payload, "are you there");
}

TEST_F(WebSocketTest, OneRequestAtATimeAndCancel) {
  serve();
  WebSocketClient c = connect();
  c.send(text_frame("cancel"));  // nothing runs: nothing happens
  c.send(text_frame("hold"));
  c.send(text_frame("another"));
  EXPECT_EQ(c.read_text(), "bad_request /");
  c.send(text_frame("cancel"));
  EXPECT_EQ(c.read_text(), R"({"type":"cancelled"})");
  EXPECT_TRUE(eventually([&] { return withdrawn == 1; }));
  c.send(text_frame("next"));
  EXPECT_EQ(c.read_text(), "again: next");
}

TEST_F(WebSocketTest, AClientThatGoesWithdrawsItsRequest) {
  serve();
  for (int i = 0; i < 3; ++i) {
    WebSocketClient c = connect();
    c.send(text_frame("hold"));
    ASSERT_TRUE(eventually([&] {
      MutexLock lock(mutex);
      return held != nullptr;
    }));
    if (i == 0) c.raw().reset();
    if (i == 1) c.raw().close();
    if (i == 2) c.send(close_frame(1001));
    EXPECT_TRUE(eventually([&] { return withdrawn == i + 1; })) << i;
    MutexLock lock(mutex);
    held.reset();
  }
}

TEST_F(WebSocketTest, FailedAnswersCloseOrNot) {
  serve();
  const struct {
    const char* message;
    int code;
  } cases[] = {{"status 401", 1008}, {"status 403", 1008}, {"status 503", 1013},
               {"status 500", 1011}, {"drop", 1011},       {"throw", 1011}};
  for (const auto& one : cases) {
    WebSocketClient c = connect();
    c.send(text_frame(one.message));
    EXPECT_NE(c.read_text().substr(0, 6), "closed") << one.message;
    EXPECT_EQ(c.read_close(), one.code) << one.message;
  }
  WebSocketClient c = connect();
  for (const char* message : {"status 400", "status 404", "status 429"}) {
    c.send(text_frame(message));
    EXPECT_EQ(c.read_text(), message);
  }
  c.send(text_frame("good"));
  EXPECT_EQ(c.read_text(), "again: good");
}

TEST_F(WebSocketTest, HandshakesThatAreRefused) {
  options.cors_origins = {"https://friend.example"};
  serve();
  for (const auto& [path, code] : {std::pair{"/401", 1008}, std::pair{"/503", 1013}}) {
    WebSocketClient c = connect(path);
    ASSERT_TRUE(c.open());
    EXPECT_EQ(c.read_text(), "said");
    EXPECT_EQ(c.read_close(), code);
  }
  EXPECT_EQ(connect("/404").head()->status, 404);
  EXPECT_EQ(connect("/", "Origin: https://evil.example\r\n").read_close(), 1008);
  EXPECT_EQ(connect("/", "Origin: null\r\n").read_close(), 1008);
  for (const char* origin : {"https://friend.example", "http://test", "https://test"}) {
    WebSocketClient c = connect("/", "Origin: " + std::string(origin) + "\r\n");
    c.send(text_frame("x"));
    EXPECT_EQ(c.read_text(), "again: x") << origin;
  }
  const std::string good = handshake("/");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string bad = good;
    return bad.replace(bad.find(from), from.size(), to);
  };
  const auto old = client().exchange(with("Version: 13", "Version: 8"));
  EXPECT_EQ(old->status, 426);
  EXPECT_EQ(old->headers.find("sec-websocket-version"), "13");
  EXPECT_EQ(client().exchange(with("Connection: Upgrade", "Connection: close"))->status, 400);
  EXPECT_EQ(client().exchange(with("dGhlIHNhbXBsZSBub25jZQ==", "short"))->status, 400);
  EXPECT_EQ(client().exchange(with("Upgrade: websocket", "Upgrade: h2c"))->body, "plain");
}

TEST_F(WebSocketTest, SilentPeersArePingedThenCut) {
  options.limits.idle_timeout = 150ms;
  serve();
  WebSocketClient answers = connect();
  WebSocketClient silent = connect();
  for (int pings = 0; pings < 8;) {
    const auto frame = answers.read_frame();
    ASSERT_TRUE(frame.has_value()) << pings;
    if (frame->opcode == 9 && ++pings > 0) answers.send(client_frame(0x8A, ""));
  }
  EXPECT_TRUE(silent.raw().wait_closed());
  EXPECT_EQ(observer.count("idle_timeout"), 1);
}

TEST_F(WebSocketTest, AMessageThatDoesNotEndIsCut) {
  options.limits.body_timeout = 100ms;
  serve();
  WebSocketClient c = connect();
  c.send(client_frame(0x01, "begun"));
  EXPECT_EQ(c.read_close(), 1008);
  EXPECT_EQ(observer.count("body_timeout"), 1);
}

TEST_F(WebSocketTest, MessagesCountAsBodies) {
  options.limits.total_body_bytes = 1000;
  serve();
  WebSocketClient holder = connect();
  holder.send(client_frame(0x01, std::string(800, 'a')));
  ASSERT_TRUE(eventually([&] { return observer.received_bytes > 900; }));
  WebSocketClient second = connect();
  second.send(client_frame(0x01, std::string(300, 'b')));
  EXPECT_EQ(second.read_close(), 1013);
  holder.send(client_frame(0x80, ""));
  EXPECT_EQ(holder.read_text(), "again: " + std::string(20, 'a'));
  holder.read_text();
  WebSocketClient third = connect();
  third.send(text_frame(std::string(900, 'c')));
  EXPECT_EQ(third.read_text(), "again: " + std::string(20, 'c'));
}

// Who sends without reading is not listened to any more; memory stays bounded.
TEST_F(WebSocketTest, APingFloodWithoutReadingIsHeld) {
  options.limits.write_buffer_bytes = 10'000;
  options.limits.write_timeout = 300ms;
  options.socket_send_buffer_bytes = 4096;
  serve();
  WebSocketClient c(server_->port(), "/", "", 4096);
  c.raw().set_timeout(200ms);
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += client_frame(0x89, std::string(125, 'p'));
  for (int i = 0; i < 100 && c.send(pings); ++i) {
  }
  EXPECT_LT(observer.received_bytes, 1'000'000U);
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_EQ(observer.count("write_timeout"), 1);
}

TEST_F(WebSocketTest, DrainClosesIdleOnesAndLetsOthersFinish) {
  serve();
  WebSocketClient idle = connect();
  WebSocketClient busy = connect();
  busy.send(text_frame("hold"));
  ASSERT_TRUE(eventually([&] {
    MutexLock lock(mutex);
    return held != nullptr;
  }));
  server_->drain();
  EXPECT_EQ(idle.read_close(), 1001);
  {
    MutexLock lock(mutex);
    held->send({200, {}, "finished"});
  }
  EXPECT_EQ(busy.read_text(), "finished");
  EXPECT_EQ(busy.read_close(), 1001);
  EXPECT_TRUE(server_->wait_drained(10s));
}

}  // namespace
}  // namespace weir::http
