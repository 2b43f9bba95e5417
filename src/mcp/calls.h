// Tool calls that run at the same time, each on a thread of its own, within a bound; some more wait
// their turn.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "mcp/protocol.h"

namespace weir::mcp {

// Runs one call and waits for it: asks `stopped` some ten times a second, tells what it is at
// through `progress`. Called from several threads.
using RunCall =
    std::function<ToolOutput(const ToolCall& call, const std::function<bool()>& stopped,
                             const std::function<void(double, std::string_view)>& progress)>;

// One thread calls; the callbacks of start() come from the calls' threads.
class Calls {
 public:
  struct Callbacks {
    std::function<void(double seconds, std::string_view said)> progress;
    // The end; of one that was cancelled `output` is nullptr.
    std::function<void(const ToolOutput* output)> done;
  };

  static constexpr size_t kMaxWaiting = 16;  // a batch that an agent asks for at once

  Calls(RunCall run, size_t at_once) : run_(std::move(run)), at_once_(at_once) {}
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;
  ~Calls();  // cancels what runs and waits for it

  enum class Started : uint8_t { kYes, kTooMany, kTaken };
  // key: names the call for cancel(); kTaken when one of that name runs or waits. Calls begin in
  // the order in which they were started.
  Started start(std::string key, ToolCall call, Callbacks callbacks);
  // Of a key that is not known: nothing.
  void cancel(std::string_view key);
  std::string too_many() const;  // for the client

 private:
  struct Running {
    std::string key;
    std::atomic<bool> stop{false};
    std::atomic<bool> answered{false};  // its name is free again
    std::atomic<bool> over{false};
    std::thread thread;
  };
  void reap();
  bool wait_for_turn(const Running& r);  // false: cancelled while it waited
  void end_turn();

  RunCall run_;
  size_t at_once_;
  std::mutex turns_mutex_;  // guards turns_ and under_way_
  std::condition_variable turns_changed_;
  std::deque<const Running*> turns_;  // those that wait
  size_t under_way_ = 0;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace weir::mcp
