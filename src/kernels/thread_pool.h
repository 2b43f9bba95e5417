// The workers that execute operators. A parallel region is a number of tasks that the workers claim
// one by one, so a worker that was preempted delays only the task it holds; which worker runs a
// task never changes a result.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/thread_annotations.h"
#include "kernels/function_ref.h"

namespace weir::kernels {

// Owned by one thread, which is worker 0 and the only one that may call parallel_for. Idle workers
// spin some microseconds (regions of a step follow each other closely), then park.
class ThreadPool {
 public:
  // fn(task, worker): task in [0, tasks), worker in [0, threads()). Must not throw and must not
  // call parallel_for.
  using Task = FunctionRef<void(size_t task, size_t worker)>;

  // threads: the caller included; values below 1 count as 1. Starts threads - 1 threads, which end
  // in the destructor.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t threads() const { return workers_.size() + 1; }

  // Runs fn for every task and returns when all have finished; what they wrote is visible to the
  // caller. tasks <= 1 runs on the caller alone.
  void parallel_for(size_t tasks, Task fn);

 private:
  void worker_loop(size_t worker);
  void run_tasks(const Task& fn, size_t tasks, size_t worker);
  uint64_t wait_for_region(uint64_t seen);
  void wait_for_exits(uint64_t entered);

  // One region: epoch << 32 | open << 31 | workers that entered. Workers enter by adding one while
  // `open` stands.
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<size_t> next_task_{0};
  alignas(64) std::atomic<uint64_t> exited_{
      0};                       // workers that left the region of the current epoch
  std::atomic<int> parked_{0};  // workers that wait on wake_
  std::atomic<bool> caller_parked_{false};
  std::atomic<bool> stop_{false};
  const Task* task_ = nullptr;  // written while the region is closed
  size_t tasks_ = 0;            // written while the region is closed
  uint64_t epoch_ = 0;          // caller only
  Mutex mutex_;
  ConditionVariable wake_;
  ConditionVariable done_;
  std::vector<std::thread> workers_;
};

}  // namespace weir::kernels
