#include "http/client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <set>
#include <string>
#include <vector>

#include "http/server_test_util.h"

namespace weir::http {
namespace {

using std::chrono::milliseconds;

// What a handler was told.
struct Seen {
  int sent = 0;
  int status = 0;
  std::string body;
  size_t pieces = 0;
  std::optional<Failure> failure;
};

class Recorder final : public ResponseHandler {
 public:
  explicit Recorder(std::promise<Seen> done) : done_(std::move(done)) {}
  void on_sent() override { ++seen_.sent; }
  void on_head(const Response& head) override { seen_.status = head.status; }
  bool on_body(std::string_view piece) override {
    seen_.body += piece;
    ++seen_.pieces;
    return !pause_;
  }
  void on_end(const Failure* failure) override {
    if (failure != nullptr) seen_.failure = *failure;
    done_.set_value(seen_);
  }
  bool pause_ = false;

 private:
  std::promise<Seen> done_;
  Seen seen_;
};

// A listening socket whose connections the test answers by hand.
class RawServer {
 public:
  RawServer() {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~RawServer() { ::close(fd_); }
  uint16_t port() const { return port_; }
  int accept() const { return ::accept(fd_, nullptr, nullptr); }
  // Accepts, reads a request without body, answers, and closes when told.
  int answer(std::string_view bytes) const {
    const int peer = accept();
    answer_on(peer, bytes);
    return peer;
  }
  static void answer_on(int peer, std::string_view bytes) {
    std::string got;
    char buffer[4096];
    while (got.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(peer, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      got.append(buffer, static_cast<size_t>(n));
    }
    EXPECT_EQ(::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

 private:
  int fd_ = -1;
  uint16_t port_ = 0;
};

class ClientTest : public ServerTest {
 protected:
  void SetUp() override { make(ClientOptions{}); }
  void make(const ClientOptions& client_options) {
    client_.reset();
    auto made = Client::start(client_options);
    ASSERT_TRUE(made.ok());
    client_ = std::move(*made);
  }
  ClientRequest request(uint16_t port, std::string target = "/x") {
    ClientRequest r;
    r.url = Url{"127.0.0.1", port, ""};
    r.target = std::move(target);
    r.timeouts.total = milliseconds(20'000);
    return r;
  }
  std::future<Seen> send(ClientRequest r, bool pause = false) {
    std::promise<Seen> done;
    auto seen = done.get_future();
    auto handler = std::make_unique<Recorder>(std::move(done));
    handler->pause_ = pause;
    id_ = client_->send(std::move(r), std::move(handler));
    return seen;
  }
  Seen exchange(ClientRequest r) { return send(std::move(r)).get(); }
  FailureKind failure_of(const Seen& seen) {
    EXPECT_TRUE(seen.failure.has_value());
    return seen.failure.value_or(Failure{}).kind;
  }

  std::unique_ptr<Client> client_;
  Client::RequestId id_ = 0;
};

TEST_F(ClientTest, SendsWhatIsAskedAndKeepsTheConnection) {
  start_echo();
  for (int i = 0; i < 5; ++i) {
    ClientRequest r = request(server_->port(), "/p" + std::to_string(i));
    r.method = "POST";
    r.body = "body";
    r.headers.add("X-A", "b");
    const Seen seen = exchange(std::move(r));
    ASSERT_FALSE(seen.failure.has_value()) << seen.failure->message;
    EXPECT_EQ(seen.status, 200);
    EXPECT_EQ(seen.sent, 1);
    EXPECT_EQ(seen.body, "POST /p" + std::to_string(i) + " body");
  }
  EXPECT_EQ(observer.count("opened"), 1);
  EXPECT_EQ(client_->connections(), 1U);
}

TEST_F(ClientTest, StreamsPiecesAsTheyCome) {
  start([](const Request&, ResponseWriter writer) {
    writer.begin_stream(200, {{"content-type", "text/plain"}});
    for (int i = 0; i < 3; ++i) writer.write("piece;");
    writer.finish();
  });
  const Seen seen = exchange(request(server_->port()));
  EXPECT_EQ(seen.body, "piece;piece;piece;");
  EXPECT_FALSE(seen.failure.has_value());
}

TEST_F(ClientTest, FetchGivesAWholeAnswer) {
  start_echo();
  const auto response = fetch(*client_, request(server_->port(), "/y"));
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->body, "GET /y ");
  EXPECT_EQ(response->headers.find("content-type"), "text/plain");
  EXPECT_FALSE(fetch(*client_, request(1)).ok());
}

TEST_F(ClientTest, ManyAtOnceWithinTheBoundOfConnections) {
  ClientOptions few;
  few.max_connections_per_host = 3;
  make(few);
  start_echo();
  std::vector<std::future<Seen>> all;
  for (int i = 0; i < 200; ++i)
    all.push_back(send(request(server_->port(), "/" + std::to_string(i))));
  for (int i = 0; i < 200; ++i) {
    const Seen seen = all[static_cast<size_t>(i)].get();
    ASSERT_FALSE(seen.failure.has_value()) << seen.failure->message;
    EXPECT_EQ(seen.body, "GET /" + std::to_string(i) + " ");
  }
  EXPECT_LE(observer.count("opened"), 3);
}

TEST_F(ClientTest, WaitingRequestsAreBounded) {
  ClientOptions one;
  one.max_connections_per_host = 1;
  one.max_waiting_per_host = 2;
  make(one);
  const RawServer raw;
  auto busy = send(request(raw.port()));
  const int peer = raw.accept();
  auto first = send(request(raw.port()));
  ClientRequest hasty = request(raw.port());
  hasty.timeouts.total = milliseconds(50);
  auto second = send(std::move(hasty));
  auto third = send(request(raw.port()));
  EXPECT_EQ(failure_of(third.get()), FailureKind::kTooMany);
  EXPECT_EQ(failure_of(second.get()), FailureKind::kTimeout);
  client_->cancel(id_ - 2);
  EXPECT_EQ(failure_of(first.get()), FailureKind::kCancelled);
  RawServer::answer_on(peer, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(busy.get().status, 204);
  auto last = send(request(raw.port()));
  RawServer::answer_on(peer, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(last.get().status, 204);
  ::close(peer);
}

// One that was refused and is cancelled before it hears so was none of those that wait.
TEST_F(ClientTest, CancellingARefusedRequestLeavesTheBoundAsItIs) {
  ClientOptions one;
  one.max_connections_per_host = 1;
  one.max_waiting_per_host = 1;
  make(one);
  const RawServer raw;
  auto busy = send(request(raw.port()));
  const int peer = raw.accept();
  auto first = send(request(raw.port()));
  std::promise<void> begin;
  client_->post([began = begin.get_future().share()] { began.wait(); });
  auto refused = send(request(raw.port()));
  client_->cancel(id_);
  begin.set_value();
  EXPECT_EQ(failure_of(refused.get()), FailureKind::kCancelled);
  client_->cancel(id_ - 1);
  EXPECT_EQ(failure_of(first.get()), FailureKind::kCancelled);
  auto next = send(request(raw.port()));
  RawServer::answer_on(peer, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(busy.get().status, 204);
  RawServer::answer_on(peer, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(next.get().status, 204);
  ::close(peer);
}

TEST_F(ClientTest, CannotConnect) {
  uint16_t port = 0;
  {
    const RawServer gone;
    port = gone.port();
  }
  const Seen seen = exchange(request(port));
  EXPECT_EQ(failure_of(seen), FailureKind::kConnect);
  EXPECT_FALSE(seen.failure->sent);
  ClientRequest unknown = request(80);
  unknown.url.host = "no.such.host.invalid";
  EXPECT_EQ(failure_of(exchange(std::move(unknown))), FailureKind::kConnect);
  EXPECT_EQ(client_->connections(), 0U);
}

TEST_F(ClientTest, Timeouts) {
  const RawServer raw;
  ClientRequest first_byte = request(raw.port());
  first_byte.timeouts.first_byte = milliseconds(50);
  Seen seen = exchange(std::move(first_byte));
  EXPECT_EQ(failure_of(seen), FailureKind::kTimeout);
  EXPECT_NE(seen.failure->message.find("first_byte"), std::string::npos);
  EXPECT_TRUE(seen.failure->sent);
  ::close(raw.accept());

  ClientRequest idle = request(raw.port());
  idle.timeouts.idle = milliseconds(50);
  auto stuck = send(std::move(idle));
  const int peer = raw.answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
  seen = stuck.get();
  EXPECT_EQ(failure_of(seen), FailureKind::kTimeout);
  EXPECT_EQ(seen.body, "hal");
  ::close(peer);

  ClientRequest total = request(raw.port());
  total.timeouts.total = milliseconds(50);
  seen = exchange(std::move(total));
  EXPECT_EQ(failure_of(seen), FailureKind::kTimeout);
  EXPECT_NE(seen.failure->message.find("total"), std::string::npos);
}

TEST_F(ClientTest, AnswersThatBreakOff) {
  const RawServer raw;
  const auto ask = [&](std::string_view bytes) {
    auto seen = send(request(raw.port()));
    ::close(raw.answer(bytes));
    return seen.get();
  };
  EXPECT_EQ(failure_of(ask("")), FailureKind::kClosed);
  EXPECT_EQ(failure_of(ask("HTTP/1.1 200")), FailureKind::kClosed);
  EXPECT_EQ(failure_of(ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal")),
            FailureKind::kClosed);
  EXPECT_EQ(failure_of(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n")),
            FailureKind::kClosed);
  EXPECT_EQ(failure_of(ask("SSH-2.0-x\r\n\r\n")), FailureKind::kProtocol);
  EXPECT_EQ(failure_of(ask("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")),
            FailureKind::kLimit);
  const Seen whole = ask("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  EXPECT_FALSE(whole.failure.has_value());
  EXPECT_EQ(whole.body, "until the end");
  EXPECT_TRUE(eventually([&] { return client_->connections() == 0; }));
}

TEST_F(ClientTest, BytesAfterAnAnswerCloseTheConnection) {
  const RawServer raw;
  auto seen = send(request(raw.port()));
  const int peer = raw.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n");
  EXPECT_EQ(seen.get().body, "ok");
  EXPECT_TRUE(eventually([&] { return client_->connections() == 0; }));
  ::close(peer);
}

// The server closes a kept connection just as the next request goes out.
TEST_F(ClientTest, StaleConnections) {
  for (const bool replay : {false, true}) {
    make(ClientOptions{});
    const RawServer raw;
    auto first = send(request(raw.port()));
    const int peer = raw.answer("HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(first.get().status, 204);
    ClientRequest r = request(raw.port());
    r.replay_stale = replay;
    auto second = send(std::move(r));
    RawServer::answer_on(peer, "");  // it was read, and no byte came back
    ::close(peer);
    if (replay) {
      const int again = raw.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      const Seen seen = second.get();
      EXPECT_FALSE(seen.failure.has_value());
      EXPECT_EQ(seen.sent, 2);
      ::close(again);
    } else {
      EXPECT_EQ(failure_of(second.get()), FailureKind::kClosed);
    }
  }
}

TEST_F(ClientTest, CancelClosesTheConnection) {
  start([](const Request&, ResponseWriter writer) {
    writer.begin_stream(200, {});
    writer.write("first");
    writer.keep_alive(milliseconds(5), "more");
    // The writer goes with the connection: kept by its own callback.
    auto kept = std::make_shared<ResponseWriter>(std::move(writer));
    kept->on_closed([kept](CloseReason) {});
  });
  auto seen = send(request(server_->port()));
  ASSERT_TRUE(eventually([&] { return observer.count("opened") == 1; }));
  client_->cancel(id_);
  EXPECT_EQ(failure_of(seen.get()), FailureKind::kCancelled);
  EXPECT_TRUE(eventually([&] { return observer.count("closed") == 1; }));
  client_->cancel(id_);  // over: nothing
}

// A reader that rests makes the server's writes wait; nothing is lost when it goes on.
TEST_F(ClientTest, PauseAndResume) {
  const std::string megabytes(2 << 20, 'x');
  start([&](const Request&, ResponseWriter writer) {
    writer.send({200, {{"content-type", "text/plain"}}, megabytes});
  });
  auto seen = send(request(server_->port()), true);
  std::atomic<bool> over = false;
  std::thread pump([&] {
    while (!over) {
      client_->resume(id_);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  const Seen all = seen.get();
  over = true;
  pump.join();
  EXPECT_FALSE(all.failure.has_value());
  EXPECT_EQ(all.body.size(), megabytes.size());
}

TEST_F(ClientTest, DestructionEndsEveryRequest) {
  const RawServer raw;
  std::vector<std::future<Seen>> all;
  for (int i = 0; i < 4; ++i) all.push_back(send(request(raw.port())));
  client_.reset();
  for (auto& seen : all) EXPECT_EQ(failure_of(seen.get()), FailureKind::kStopped);
}

TEST_F(ClientTest, TimersRunOnTheIoThread) {
  std::promise<std::thread::id> soon;
  std::promise<std::thread::id> later;
  client_->post_at(std::chrono::steady_clock::now() + milliseconds(5),
                   [&] { later.set_value(std::this_thread::get_id()); });
  client_->post([&] { soon.set_value(std::this_thread::get_id()); });
  EXPECT_EQ(soon.get_future().get(), later.get_future().get());
}

// A request that is passed on crosses no thread.
TEST_F(ClientTest, RunsOnTheThreadOfAServer) {
  start_echo();
  const auto behind = std::move(server_);
  std::set<std::thread::id> threads;
  std::unique_ptr<Client> proxy;
  start([&](Request incoming, ResponseWriter writer) {
    threads.insert(std::this_thread::get_id());
    class Pass final : public ResponseHandler {
     public:
      Pass(ResponseWriter w, std::set<std::thread::id>& t) : writer_(std::move(w)), threads_(t) {}
      bool on_body(std::string_view piece) override {
        threads_.insert(std::this_thread::get_id());
        body_ += piece;
        return true;
      }
      void on_end(const Failure* failure) override {
        writer_.send({failure == nullptr ? 200 : 502, {}, body_});
      }

     private:
      ResponseWriter writer_;
      std::set<std::thread::id>& threads_;
      std::string body_;
    };
    proxy->send(request(behind->port(), incoming.path),
                std::make_unique<Pass>(std::move(writer), threads));
  });
  proxy = std::move(*Client::start_on(*server_, {}));
  EXPECT_EQ(exchange(request(server_->port(), "/through")).body, "GET /through ");
  EXPECT_EQ(threads.size(), 1U);
  EXPECT_EQ(proxy->connections(), 1U);
}

// Requests, timers and posted functions of a client that goes first, and of one that goes last.
TEST_F(ClientTest, OnAServerItEndsBeforeTheServerOrAfterItHasStopped) {
  for (const bool stop_first : {false, true}) {
    start_echo();
    const RawServer raw;
    make({});
    ClientOptions one;
    one.max_connections_per_host = 1;
    client_ = std::move(*Client::start_on(*server_, one));
    auto busy = send(request(raw.port()));
    ::close(raw.accept());
    EXPECT_EQ(failure_of(busy.get()), FailureKind::kClosed);
    auto pending = send(request(raw.port()));
    const int peer = raw.accept();
    auto waiting = send(request(raw.port()));
    std::atomic<int> late = 0;
    client_->post_at(std::chrono::steady_clock::now() + milliseconds(20), [&] { ++late; });
    if (stop_first) server_->stop();
    client_.reset();
    EXPECT_EQ(failure_of(pending.get()), FailureKind::kStopped);
    EXPECT_EQ(failure_of(waiting.get()), FailureKind::kStopped);
    std::this_thread::sleep_for(milliseconds(40));
    EXPECT_EQ(late, 0);
    if (!stop_first) {
      EXPECT_EQ(client().exchange(get("/"))->status, 200);
    }
    server_.reset();
    ::close(peer);
  }
}

}  // namespace
}  // namespace weir::http
