// An API server of Kubernetes for tests: lists and watches of EndpointSlices, and what goes wrong
// with them. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "http/server.h"

namespace weir::gateway {

class FakeApi {
 public:
  FakeApi() {
    auto started = http::Server::start(
        {},
        [this](http::Request request, http::ResponseWriter writer) {
          handle(std::move(request), std::move(writer));
        },
        {}, clock_);
    EXPECT_TRUE(started.ok());
    server_ = std::move(*started);
  }
  ~FakeApi() { server_->stop(); }
  FakeApi(const FakeApi&) = delete;
  FakeApi& operator=(const FakeApi&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  int lists() const { return lists_; }
  int watches() const { return watches_; }
  http::Request last() const {
    MutexLock lock(mutex_);
    return last_;
  }
  // "10.0.0.1" ready, "-10.0.0.1" going away, each at the port.
  static std::string slice(const std::string& name, const std::vector<std::string>& pods, int port,
                           int version) {
    std::string out = R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" +
                      std::to_string(version) + R"("},"addressType":"IPv4","ports":[{"port":)" +
                      std::to_string(port) + R"(}],"endpoints":[)";
    for (const std::string& pod : pods) {
      const bool leaves = pod.front() == '-';
      if (out.back() == '}') out += ',';
      out += R"({"addresses":[")" + pod.substr(leaves ? 1 : 0) + R"("],"conditions":{"ready":)" +
             (leaves ? "false" : "true") + R"(,"terminating":)" + (leaves ? "true" : "false") +
             "}}";
    }
    return out + "]}";
  }
  // What a list says from now on.
  void hold(const std::string& items, int version) {
    MutexLock lock(mutex_);
    list_ = R"({"metadata":{"resourceVersion":")" + std::to_string(version) + R"("},"items":[)" +
            items + "]}";
  }
  // Status of all answers; 200: well.
  void fail(int status) { status_ = status; }
  // To everybody who watches, in two pieces.
  void event(const std::string& type, const std::string& object) {
    const std::string line = R"({"type":")" + type + R"(","object":)" + object + "}\n";
    server_->post([this, line] {
      for (const auto& w : watching_) {
        w->write(line.substr(0, line.size() / 2));
        w->write(line.substr(line.size() / 2));
      }
    });
  }
  void end_watches(bool abort = false) {
    server_->post([this, abort] {
      for (const auto& w : watching_) {
        if (abort) {
          w->abort();
        } else {
          w->finish();
        }
      }
      watching_.clear();
    });
  }

 private:
  void handle(http::Request request, http::ResponseWriter writer) {
    const bool watch = request.query.find("watch=1") != std::string::npos;
    std::string list;
    {
      MutexLock lock(mutex_);
      last_ = std::move(request);
      list = list_;
    }
    ++(watch ? watches_ : lists_);
    if (status_ != 200 || !watch) {
      writer.send(http::json_response(status_, status_ == 200 ? list : R"({"kind":"Status"})"));
      return;
    }
    writer.begin_stream(200, {{"Content-Type", "application/json"}});
    watching_.push_back(std::make_shared<http::ResponseWriter>(std::move(writer)));
  }

  SystemClock clock_;
  std::atomic<int> lists_{0};
  std::atomic<int> watches_{0};
  std::atomic<int> status_{200};
  mutable Mutex mutex_;
  std::string list_ WEIR_GUARDED_BY(mutex_);
  http::Request last_ WEIR_GUARDED_BY(mutex_);
  // Shared: what is posted wants copies. On the I/O thread.
  std::vector<std::shared_ptr<http::ResponseWriter>> watching_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace weir::gateway
