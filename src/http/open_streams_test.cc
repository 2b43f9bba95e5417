// A server with answers that are being streamed: what is written at once, and requests that come
// meanwhile and stand in line.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http/server_test_util.h"

namespace weir::http {
namespace {

using namespace std::chrono_literals;

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
      writer.write_now("c");  // so soon that it is gathered with the next
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

// Ten requests of 1 ms that became ready together, and a task that wants its turn again and again:
// in the order in which the I/O thread came to them.
struct TurnsTest : public ServerTest, public testing::WithParamInterface<std::string> {
  void tick(int left) {
    order += '.';
    if (left > 0) server_->post([this, left] { tick(left - 1); });
  }
  void SetUp() override {
    start([this](const Request& request, ResponseWriter writer) {
      if (request.path == "/stream") {
        writer.begin_stream(200, {});
        writer.write_now("a");
        if (GetParam() == "ended") return writer.abort();
        if (GetParam() == "open") {
          open.push_back(std::move(writer));
          return;
        }
        writer.finish();
        return;
      }
      if (request.path == "/hold") {  // until the others have sent theirs
        is_held = true;
        while (!go_on) std::this_thread::sleep_for(1ms);
        tick(100);
      } else {
        order += 'x';
        std::this_thread::sleep_for(1ms);
      }
      writer.send({200, {}, request.path});
    });
  }
  std::string order;                 // I/O thread
  std::vector<ResponseWriter> open;  // I/O thread
  std::atomic<bool> is_held = false;
  std::atomic<bool> go_on = false;
};

TEST_P(TurnsTest, RequestsLetOthersGoAheadWhileAStreamIsOpen) {
  TestClient streaming = client();
  streaming.send(get("/stream"));
  EXPECT_TRUE(streaming.read_head().has_value());
  if (GetParam() == "finished") {
    EXPECT_EQ(streaming.read_chunk(), "a");
    EXPECT_EQ(streaming.read_chunk(), "");
  } else if (GetParam() == "ended") {
    EXPECT_TRUE(streaming.wait_closed());
  }
  TestClient holding = client();
  std::vector<TestClient> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(client());
  EXPECT_TRUE(eventually([&] { return observer.count("opened") == 12; }));
  std::this_thread::sleep_for(50ms);  // the end of a stream is told by the reading of it
  holding.send(get("/hold"));
  ASSERT_TRUE(eventually([&] { return is_held.load(); }));
  for (int i = 0; i < 10; ++i) {
    clients[static_cast<size_t>(i)].send(get("/x"));
    // One that says no more gets its answer; one that is gone costs nobody anything.
    if (i % 3 == 1) clients[static_cast<size_t>(i)].shutdown_send();
    if (i == 8) clients[8].reset();
  }
  std::this_thread::sleep_for(20ms);
  go_on = true;
  for (size_t i = 0; i < 10; ++i) {
    if (i == 8) continue;
    const auto answer = clients[i].read_response();
    ASSERT_TRUE(answer.has_value()) << i;
    EXPECT_EQ(answer->body, "/x");
  }
  EXPECT_TRUE(holding.read_response().has_value());
  server_->stop();
  const bool together = order.find("xx") != std::string::npos;
  EXPECT_EQ(together, GetParam() != "open") << order;
  EXPECT_GE(std::count(order.begin(), order.end(), 'x'), 9);
}

INSTANTIATE_TEST_SUITE_P(Streams, TurnsTest, testing::Values("open", "finished", "ended"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace weir::http
