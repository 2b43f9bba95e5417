// A weir serve or weir bench mock that runs while this object lives.
#pragma once

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace weir::ops {

// One thread calls; url(), model() and problem() after wait_ready() from any.
class HelperServer {
 public:
  // Starts it on a thread of its own, which reads what it says until destruction ends it, or for
  // timeout_ms when it does not become ready.
  HelperServer(std::vector<std::string> command, int timeout_ms);
  HelperServer(const HelperServer&) = delete;
  HelperServer& operator=(const HelperServer&) = delete;
  ~HelperServer();

  void wait_ready();
  const std::string& url() const { return url_; }          // "http://127.0.0.1:41234"
  const std::string& model() const { return model_; }      // as its ready line calls it
  const std::string& problem() const { return problem_; }  // why it is not there, or ""

 private:
  void hold(const std::vector<std::string>& command, int timeout_ms);

  std::atomic<bool> stop_{false};
  std::promise<std::string> ready_;  // the line, or "!" and why there is none
  std::string url_, model_, problem_;
  std::thread thread_;
};

}  // namespace weir::ops
