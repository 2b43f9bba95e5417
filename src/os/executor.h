// A few threads and a bounded queue for the work of a request before it reaches the engine:
// parsing, rendering the template, tokenizing; and for answers that take long to write. It keeps
// that work off the I/O thread and the engine's.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/thread_annotations.h"

namespace weir::os {

class Executor {
 public:
  Executor(int32_t threads, size_t max_pending);
  ~Executor();  // finishes what was taken

  // Any thread. False: max_pending tasks wait already; the task was not taken.
  [[nodiscard]] bool run(std::function<void()> task) WEIR_EXCLUDES(mutex_);
  // Any thread. Taken whatever waits, and run before it: the end of a request that the engine has
  // computed, so what the engine takes bounds how many there are.
  void run_first(std::function<void()> task) WEIR_EXCLUDES(mutex_);

 private:
  void loop() WEIR_EXCLUDES(mutex_);

  const size_t max_pending_;
  Mutex mutex_;
  ConditionVariable wake_;
  std::deque<std::function<void()>> tasks_ WEIR_GUARDED_BY(mutex_);
  bool stop_ WEIR_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace weir::os
