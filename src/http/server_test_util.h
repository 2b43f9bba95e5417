// A server for tests with an observer that counts, and a helper that waits for a condition. Tests
// only.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/thread_annotations.h"
#include "http/server.h"
#include "http/test_client.h"

namespace weir::http {

class CountingObserver final : public Observer {
 public:
  void on_connection_opened() override { add("opened"); }
  void on_connection_closed() override { add("closed"); }
  void on_response(int status, double seconds) override {
    EXPECT_GE(seconds, 0);
    add(std::to_string(status));
  }
  void on_request_end(const RequestRecord& r) override {
    const std::string cut =
        r.disconnect ? " " + std::string(close_reason_name(*r.disconnect)) : std::string();
    add("end: " + std::string(r.method) + " " + std::to_string(r.status) + cut);
    if (r.request_id.empty()) add("end without id");
  }
  void on_bytes(size_t received, size_t /*sent*/) override { received_bytes += received; }
  void on_limit(std::string_view limit) override { add(std::string(limit)); }
  void on_disconnect(CloseReason reason) override {
    add("cut: " + std::string(close_reason_name(reason)));
  }
  int count(const std::string& what) const {
    MutexLock lock(mutex_);
    const auto it = counts_.find(what);
    return it == counts_.end() ? 0 : it->second;
  }
  std::atomic<size_t> received_bytes = 0;

 private:
  void add(const std::string& what) {
    MutexLock lock(mutex_);
    ++counts_[what];
  }
  mutable Mutex mutex_;
  std::map<std::string, int> counts_ WEIR_GUARDED_BY(mutex_);
};

// True once the condition holds, within ten seconds.
template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

class ServerTest : public testing::Test {
 protected:
  void start(Handler handler) {
    auto server = Server::start(
        options, std::move(handler),
        [](int status, const Error& error, std::string_view path) {
          return json_response(status,
                               std::string(error_code_name(error.code)) + " " + std::string(path));
        },
        clock, &observer);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
  }
  // Answers with method, path and body.
  void start_echo() {
    start([](Request request, ResponseWriter writer) {
      writer.send({200,
                   {{"content-type", "text/plain"}},
                   request.method + " " + request.path + " " + request.body});
    });
  }
  TestClient client() { return TestClient(server_->port()); }

  ServerOptions options;
  SystemClock clock;
  CountingObserver observer;
  std::unique_ptr<Server> server_;  // last: stops before what it uses goes away
};

inline std::string get(const std::string& path, const std::string& fields = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + fields + "\r\n";
}
inline std::string post(const std::string& path, const std::string& body,
                        const std::string& fields = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: test\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace weir::http
