// Limits and timeouts of the server, with short values; and many clients at once.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <deque>

#include "http/server_test_util.h"
#include "http/sse.h"

namespace weir::http {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

class LimitsTest : public ServerTest {
 protected:
  // Sends and expects an error answer with that status, a close, and that limit counted.
  void expect_refused(const std::string& bytes, int status, const std::string& limit) {
    TestClient c = client();
    c.send(bytes);
    const auto response = c.read_response();
    ASSERT_TRUE(response.has_value()) << limit;
    EXPECT_EQ(response->status, status);
    EXPECT_EQ(response->headers.find("connection"), "close");
    EXPECT_TRUE(response->headers.contains("x-request-id"));
    EXPECT_TRUE(c.wait_closed());
    EXPECT_EQ(observer.count(limit), limit.empty() ? 0 : 1) << limit;
  }
};

TEST_F(LimitsTest, SizesHaveTheirStatus) {
  options.limits.header_bytes = 1000;
  options.limits.header_fields = 10;
  options.limits.target_bytes = 100;
  options.limits.body_bytes = 1000;
  start_echo();
  expect_refused(get("/" + std::string(100, 'a')), 414, "target_bytes");
  expect_refused(get("/", "A: " + std::string(1000, 'a') + "\r\n"), 431, "header_bytes");
  std::string fields;
  for (int i = 0; i < 11; ++i) fields += "a: b\r\n";
  expect_refused(get("/", fields), 431, "header_fields");
  expect_refused(post("/p", std::string(1001, 'a')), 413, "body_bytes");
  expect_refused(
      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
      "");
  expect_refused("nonsense\r\n", 400, "");
}

TEST_F(LimitsTest, TooLargeIsAnsweredBeforeTheBodyAndSurvivesAClientThatSendsItAnyway) {
  options.limits.body_bytes = 1000;
  start_echo();
  {
    TestClient c = client();
    c.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
    EXPECT_EQ(c.read_response()->status, 413);
  }
  TestClient c = client();
  EXPECT_TRUE(c.send(post("/p", std::string(10'000'000, 'a'))));
  const auto response = c.read_response();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(response->body, "body_too_large /p");
}

TEST_F(LimitsTest, SlowHeadIs408) {
  options.limits.header_timeout = 100ms;
  start_echo();
  TestClient c = client();
  const auto begin = Steady::now();
  std::atomic<bool> stop = false;
  std::thread dripper([&] {  // a byte now and then buys no time
    for (const char byte : get("/", "A: " + std::string(600, 'a') + "\r\n")) {
      if (stop || !c.send(std::string_view(&byte, 1))) return;
      std::this_thread::sleep_for(10ms);
    }
  });
  const auto response = c.read_response();
  const auto took = Steady::now() - begin;
  stop = true;
  dripper.join();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 408);
  EXPECT_LT(took, 4000ms);
  EXPECT_EQ(observer.count("header_timeout"), 1);
}

TEST_F(LimitsTest, SlowBodyIs408) {
  options.limits.body_timeout = 50ms;
  start_echo();
  expect_refused("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", 408,
                 "body_timeout");
}

TEST_F(LimitsTest, SilentConnectionsAreClosedWithoutAWord) {
  options.limits.header_timeout = 50ms;
  options.limits.idle_timeout = 50ms;
  start_echo();
  TestClient fresh = client();
  EXPECT_EQ(fresh.receive_all(), "");
  TestClient used = client();
  ASSERT_TRUE(used.exchange(get("/")).has_value());
  EXPECT_EQ(used.receive_all(), "");
  EXPECT_EQ(observer.count("idle_timeout"), 2);
}

TEST_F(LimitsTest, NoTimeoutRunsWhileTheAnswerIsMade) {
  options.limits.header_timeout = options.limits.body_timeout = options.limits.idle_timeout = 30ms;
  std::thread worker;
  start([&](Request, ResponseWriter writer) {
    worker = std::thread([w = std::move(writer)]() mutable {
      std::this_thread::sleep_for(150ms);
      w.send({200, {}, "ok"});
    });
  });
  const auto response = client().exchange(post("/", "x"));
  worker.join();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, "ok");
}

TEST_F(LimitsTest, TotalBodyBytesOfAllConnections) {
  options.limits.total_body_bytes = 1000;
  start_echo();
  TestClient holder = client();
  holder.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n" + std::string(800, 'a'));
  ASSERT_TRUE(eventually([&] { return observer.received_bytes > 800; }));
  TestClient second = client();
  const auto refused = second.exchange(post("/b", std::string(300, 'b')));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 503);
  EXPECT_TRUE(refused->headers.contains("retry-after"));
  holder.send(std::string(100, 'a'));
  EXPECT_EQ(holder.read_response()->status, 200);
  EXPECT_EQ(client().exchange(post("/b", std::string(900, 'b')))->status, 200);  // given back
}

// A reader that does not read: first kSlow, later cut; the buffer never grows past its bound.
TEST_F(LimitsTest, SlowReaderIsBounded) {
  options.limits.write_buffer_bytes = 10'000;
  options.socket_send_buffer_bytes = 4096;
  std::atomic<bool> slow = false;
  std::atomic<bool> cut = false;
  std::atomic<size_t> most = 0;
  std::thread worker;
  start([&](Request, ResponseWriter writer) {
    writer.on_closed([&](CloseReason reason) { cut = reason == CloseReason::kSlowReader; });
    writer.begin_stream(200, {});
    worker = std::thread([&, w = std::move(writer)]() mutable {
      const std::string data(1000, 'x');
      for (int i = 0; i < 100'000; ++i) {
        const WriteStatus status = w.write(data);
        most = std::max(most.load(), w.buffered_bytes());
        if (status == WriteStatus::kSlow) slow = true;
        if (status == WriteStatus::kClosed) return;
        std::this_thread::sleep_for(100us);
      }
    });
  });
  TestClient c(server_->port(), 4096);
  c.send(get("/"));
  EXPECT_TRUE(eventually([&] { return cut.load(); }));
  worker.join();
  EXPECT_TRUE(slow);
  EXPECT_LT(most, 41'000U);
  EXPECT_EQ(observer.count("write_buffer_bytes"), 1);
}

// A producer that heeds kSlow and on_writable gets everything through.
TEST_F(LimitsTest, PausedProducerResumes) {
  options.limits.write_buffer_bytes = 10'000;
  options.socket_send_buffer_bytes = 4096;
  constexpr size_t kTotal = 2'000'000;
  std::atomic<int> pauses = 0;
  std::thread worker;
  start([&](Request, ResponseWriter writer) {
    auto writable =
        std::make_shared<std::atomic<bool>>(false);  // outlives handler and worker alike
    writer.on_writable([writable] { *writable = true; });
    writer.begin_stream(200, {});
    worker = std::thread([&, writable, w = std::move(writer)]() mutable {
      const std::string data(1000, 'x');
      for (size_t sent = 0; sent < kTotal; sent += data.size()) {
        *writable = false;
        if (w.write(data) != WriteStatus::kSlow) continue;
        ++pauses;
        while (!*writable && w.buffered_bytes() > 5000) std::this_thread::sleep_for(100us);
      }
      w.finish();
    });
  });
  TestClient c(server_->port(), 4096);
  const auto response = c.exchange(get("/"));
  worker.join();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body.size(), kTotal);
  EXPECT_GT(pauses, 0);
}

TEST_F(LimitsTest, StalledReaderRunsIntoTheWriteTimeout) {
  options.limits.write_timeout = 100ms;
  options.socket_send_buffer_bytes = 4096;
  std::atomic<bool> cut = false;
  start([&](Request, ResponseWriter writer) {
    writer.on_closed([&](CloseReason reason) { cut = reason == CloseReason::kWriteTimeout; });
    writer.send({200, {}, std::string(10'000'000, 'x')});
  });
  TestClient c(server_->port(), 4096);
  c.send(get("/"));
  EXPECT_TRUE(eventually([&] { return cut.load(); }));
  EXPECT_EQ(observer.count("write_timeout"), 1);
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(LimitsTest, OneConnectionTooMany) {
  options.limits.max_connections = 3;
  start_echo();
  std::deque<TestClient> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(client());
    ASSERT_TRUE(held.back().exchange(get("/")).has_value());
  }
  TestClient extra = client();
  const auto begin = Steady::now();
  const auto response = extra.exchange(get("/"));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 503);
  EXPECT_EQ(response->headers.find("retry-after"), "1");
  EXPECT_LT(Steady::now() - begin, 2000ms);
  EXPECT_EQ(observer.count("max_connections"), 1);
  held.pop_back();
  EXPECT_TRUE(eventually([&] {
    const auto again = client().exchange(get("/"));
    return again && again->status == 200;
  }));
}

TEST_F(LimitsTest, PipeliningIsBoundedAndStillServed) {
  options.limits.pipeline_bytes = 1000;
  std::optional<ResponseWriter> held;
  std::atomic<bool> have = false;
  start([&](Request request, ResponseWriter writer) {
    if (request.path == "/first") {
      held.emplace(std::move(writer));
      have = true;
    } else {
      writer.send({200, {}, request.path});
    }
  });
  TestClient c = client();
  c.send(get("/first"));
  ASSERT_TRUE(eventually([&] { return have.load(); }));
  std::string many;
  for (int i = 0; i < 2000; ++i) many += get("/x");
  std::thread sender([&] { c.send(many); });
  std::this_thread::sleep_for(50ms);
  EXPECT_LT(observer.received_bytes, 1000U + 2 * 16 * 1024);  // the limit, and reads of 16 KiB
  held->send({200, {}, "first"});
  sender.join();
  EXPECT_EQ(c.read_response()->body, "first");
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(c.read_response()->body, "/x") << i;
}

// 500 clients stream at once, half of them vanish in the middle.
TEST_F(LimitsTest, FiveHundredClientsHalfVanish) {
  constexpr size_t kClients = 500;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 2 * kClients + 100) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  }
  struct Stream {
    ResponseWriter writer;
    int left = 20;
  };
  Mutex mutex;
  std::vector<Stream> streams;
  std::atomic<size_t> vanished = 0;
  std::atomic<size_t> begun = 0;
  std::atomic<bool> go = false;
  std::atomic<bool> stop = false;
  start([&](Request, ResponseWriter writer) {
    writer.on_closed([&](CloseReason) { ++vanished; });
    writer.begin_stream(200, {});
    writer.write("data: first\n\n");
    MutexLock lock(mutex);
    streams.push_back({std::move(writer)});
    ++begun;
  });
  std::thread engine([&] {  // one post per connection and step, as the engine does it
    while (!stop) {
      std::this_thread::sleep_for(2ms);
      if (!go) continue;
      MutexLock lock(mutex);
      for (Stream& stream : streams) {
        if (stream.left > 0 && stream.writer.write("data: token\n\n") != WriteStatus::kClosed &&
            --stream.left == 0) {
          stream.writer.finish();
        }
      }
    }
  });
  std::deque<TestClient> clients;
  for (size_t i = 0; i < kClients; ++i) {
    clients.push_back(client());
    ASSERT_TRUE(clients.back().connected()) << i;
    clients.back().send(get("/"));
  }
  ASSERT_TRUE(eventually([&] { return begun == kClients; }));
  EXPECT_EQ(server_->connections(), kClients);
  for (size_t i = 0; i < kClients; i += 2) (i % 4 == 0) ? clients[i].reset() : clients[i].close();
  EXPECT_TRUE(eventually([&] { return vanished == kClients / 2; })) << vanished;
  go = true;
  for (size_t i = 1; i < kClients; i += 2) {
    const auto response = clients[i].read_response();
    ASSERT_TRUE(response.has_value()) << i;
    ASSERT_EQ(response->body.size(), 13U + 20 * 13);
  }
  stop = true;
  engine.join();
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_EQ(vanished, kClients / 2);
}

// No file descriptor left: accepting rests and resumes, the process lives.
TEST_F(LimitsTest, OutOfDescriptors) {
  start_echo();
  TestClient c = client();
  ASSERT_TRUE(c.exchange(get("/")).has_value());
  TestClient next = client();  // its descriptor is ours, accept's is still to come
  ASSERT_TRUE(next.exchange(get("/")).has_value());
  std::vector<int> hoard;
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit low = old;
  low.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) hoard.push_back(fd);
  ASSERT_FALSE(hoard.empty());
  ::close(hoard.back());
  hoard.pop_back();
  TestClient waiting = client();  // takes the last one
  EXPECT_TRUE(waiting.connected());
  EXPECT_TRUE(eventually([&] { return observer.count("accept_fds") > 0; }));
  EXPECT_TRUE(c.exchange(get("/")).has_value());  // who is in is served
  for (const int fd : hoard) ::close(fd);
  setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_TRUE(waiting.exchange(get("/")).has_value());
}

}  // namespace
}  // namespace weir::http
