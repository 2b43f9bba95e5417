// A server with answers that are being streamed: what is written at once, and requests that come
// meanwhile and stand in line.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "http/server_test_util.h"

namespace weir::http {
namespace {

struct OpenStreams : public ServerTest {
  // "/stream" stays open until the test ends it; everything else is echoed.
  void SetUp() override {
    start([this](Request request, ResponseWriter writer) {
      if (request.path != "/stream") {
        ++echoed;
        writer.send({200, {}, request.path});
        return;
      }
      writer.begin_stream(200, {});
      writer.write("a");
      EXPECT_EQ(writer.write_now("b"), WriteStatus::kOk);  // and what was before it
      EXPECT_EQ(writer.buffered_bytes(), 0U);              // the socket has it
      writer.write_now("c");
      writer.write("d");
      open = std::make_unique<ResponseWriter>(std::move(writer));
      is_open = true;
    });
  }
  void end_stream() {
    open->write("e");
    open->finish();
  }
  std::unique_ptr<ResponseWriter> open;  // the test's from is_open on
  std::atomic<bool> is_open = false;
  std::atomic<int> echoed = 0;
};

TEST_F(OpenStreams, GetWhatIsWrittenNowInOrder) {
  TestClient c = client();
  c.send(get("/stream"));
  ASSERT_TRUE(eventually([&] { return is_open.load(); }));
  end_stream();
  const auto whole = c.read_response();
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->body, "abcde");
  EXPECT_EQ(c.exchange(get("/next"))->body, "/next");  // the connection goes on
}

TEST_F(OpenStreams, RequestsInLineAreAnsweredInOrder) {
  TestClient streaming = client();
  streaming.send(get("/stream"));
  ASSERT_TRUE(eventually([&] { return is_open.load(); }));
  std::vector<TestClient> clients;
  for (int c = 0; c < 8; ++c) {
    clients.push_back(client());
    std::string all;
    for (int i = 0; i < 20; ++i) all += get("/" + std::to_string(c) + "-" + std::to_string(i));
    clients.back().send(all);
  }
  for (int i = 0; i < 20; ++i) {
    for (int c = 0; c < 8; ++c) {
      const auto answer = clients[static_cast<size_t>(c)].read_response();
      ASSERT_TRUE(answer.has_value());
      EXPECT_EQ(answer->body, "/" + std::to_string(c) + "-" + std::to_string(i));
    }
  }
  end_stream();
  EXPECT_EQ(streaming.read_response()->body, "abcde");
}

TEST_F(OpenStreams, ARequestInLineMayLoseItsPeer) {
  TestClient streaming = client();
  streaming.send(get("/stream"));
  ASSERT_TRUE(eventually([&] { return is_open.load(); }));
  for (int i = 0; i < 50; ++i) {
    TestClient c = client();
    c.send(get("/gone"));
    c.reset();
  }
  EXPECT_TRUE(eventually([&] { return observer.count("closed") == 50; }));
  EXPECT_EQ(client().exchange(get("/here"))->body, "/here");
  end_stream();
}

TEST_F(OpenStreams, AServerMayStopWithRequestsInLine) {
  TestClient streaming = client();
  streaming.send(get("/stream"));
  ASSERT_TRUE(eventually([&] { return is_open.load(); }));
  std::vector<TestClient> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(client());
    clients.back().send(get("/x"));
  }
  server_->stop();
  EXPECT_EQ(open->write("late"), WriteStatus::kClosed);
}

}  // namespace
}  // namespace weir::http
