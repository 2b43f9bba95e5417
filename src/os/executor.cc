#include "os/executor.h"

#include <utility>

#include "os/thread.h"

namespace weir::os {

Executor::Executor(int32_t threads, size_t max_pending) : max_pending_(max_pending) {
  for (int32_t i = 0; i < threads; ++i) threads_.emplace_back([this] { loop(); });
}

Executor::~Executor() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    wake_.notify_all();
  }
  for (std::thread& t : threads_) t.join();
}

bool Executor::run(std::function<void()> task) {
  MutexLock lock(mutex_);
  if (tasks_.size() >= max_pending_) return false;
  tasks_.push_back(std::move(task));
  wake_.notify_one();
  return true;
}

void Executor::run_first(std::function<void()> task) {
  MutexLock lock(mutex_);
  tasks_.push_front(std::move(task));
  wake_.notify_one();
}

void Executor::loop() {
  os::set_thread_name("weir-requests");
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !stop_) wake_.wait(mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace weir::os
