#include "kernels/thread_pool.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weir::kernels {
namespace {

constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kEnteredMask = kOpen - 1;
constexpr int kEpochShift = 32;

// A pause is about 12 ns on Zen 4: workers spin some 25 µs, which covers the serial stretch between
// two operators of a step, and then leave the core to I/O threads and neighbours.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  const size_t extra = static_cast<size_t>(std::max(threads, 1) - 1);
  workers_.reserve(extra);
  for (size_t i = 0; i < extra; ++i) workers_.emplace_back([this, i] { worker_loop(i + 1); });
}

ThreadPool::~ThreadPool() {
  {
    const MutexLock lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_tasks(const Task& fn, size_t tasks, size_t worker) {
  for (;;) {
    const size_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks) return;
    fn(task, worker);
  }
}

void ThreadPool::parallel_for(size_t tasks, Task fn) {
  if (tasks <= 1 || workers_.empty()) {
    for (size_t task = 0; task < tasks; ++task) fn(task, 0);
    return;
  }
  task_ = &fn;
  tasks_ = tasks;
  next_task_.store(0, std::memory_order_relaxed);
  exited_.store(0, std::memory_order_relaxed);
  ++epoch_;
  // seq_cst with the worker's parked_ increment and re-check: one of the two sees the other.
  state_.store(((epoch_ & 0xffffffffU) << kEpochShift) | kOpen);
  if (parked_.load() > 0) {
    { const MutexLock lock(mutex_); }
    wake_.notify_all();
  }
  run_tasks(fn, tasks, 0);
  // Late workers find the region closed and are not waited for.
  const uint64_t entered = state_.fetch_and(~kOpen) & kEnteredMask;
  wait_for_exits(entered);
}

void ThreadPool::wait_for_exits(uint64_t entered) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (exited_.load(std::memory_order_acquire) == entered) return;
    pause();
  }
  mutex_.lock();
  caller_parked_.store(true);
  while (exited_.load() != entered) done_.wait(mutex_);
  caller_parked_.store(false);
  mutex_.unlock();
}

// Returns the state of an open region whose epoch is not `seen`, or 0 to stop.
uint64_t ThreadPool::wait_for_region(uint64_t seen) {
  const auto fresh = [&](uint64_t state) {
    return (state & kOpen) != 0 && (state >> kEpochShift) != seen;
  };
  for (int spin = 0; spin < kSpins; ++spin) {
    const uint64_t state = state_.load(std::memory_order_acquire);
    if (fresh(state)) return state;
    if (stop_.load(std::memory_order_relaxed)) return 0;
    pause();
  }
  mutex_.lock();
  parked_.fetch_add(1);
  uint64_t state = state_.load();
  while (!fresh(state) && !stop_.load()) {
    wake_.wait(mutex_);
    state = state_.load();
  }
  parked_.fetch_sub(1);
  mutex_.unlock();
  return fresh(state) ? state : 0;
}

void ThreadPool::worker_loop(size_t worker) {
  uint64_t seen = 0;
  for (;;) {
    uint64_t state = wait_for_region(seen);
    if (state == 0) return;
    if (!state_.compare_exchange_strong(state, state + 1)) continue;  // closed, or another entered
    seen = state >> kEpochShift;
    run_tasks(*task_, tasks_, worker);
    exited_.fetch_add(1);
    if (caller_parked_.load()) {
      { const MutexLock lock(mutex_); }
      done_.notify_one();
    }
  }
}

}  // namespace weir::kernels
