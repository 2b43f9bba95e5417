// Tool calls that run at the same time, each on a thread of its own, within a bound.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
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

  Calls(RunCall run, size_t at_once) : run_(std::move(run)), at_once_(at_once) {}
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;
  ~Calls();  // cancels what runs and waits for it

  enum class Started : uint8_t { kYes, kTooMany, kTaken };
  // key: names the call for cancel(); kTaken when one of that name runs.
  Started start(std::string key, ToolCall call, Callbacks callbacks);
  // Of a key that is not known: nothing.
  void cancel(std::string_view key);
  size_t at_once() const { return at_once_; }

 private:
  struct Running {
    std::string key;
    std::atomic<bool> stop{false};
    std::atomic<bool> over{false};
    std::thread thread;
  };
  void reap();

  RunCall run_;
  size_t at_once_;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace weir::mcp
