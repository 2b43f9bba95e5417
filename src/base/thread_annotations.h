// Names for clang's -Wthread-safety, and a mutex and lock that carry them (std::mutex does not).
// Source: the "Thread Safety Analysis" page of the Clang documentation. Empty under other
// compilers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define WEIR_THREAD_ATTR(x) __attribute__((x))
#else
#define WEIR_THREAD_ATTR(x)
#endif

#define WEIR_CAPABILITY(x) WEIR_THREAD_ATTR(capability(x))
#define WEIR_SCOPED_CAPABILITY WEIR_THREAD_ATTR(scoped_lockable)
#define WEIR_GUARDED_BY(x) WEIR_THREAD_ATTR(guarded_by(x))
#define WEIR_REQUIRES(...) WEIR_THREAD_ATTR(requires_capability(__VA_ARGS__))
#define WEIR_ACQUIRE(...) WEIR_THREAD_ATTR(acquire_capability(__VA_ARGS__))
#define WEIR_RELEASE(...) WEIR_THREAD_ATTR(release_capability(__VA_ARGS__))
#define WEIR_EXCLUDES(...) WEIR_THREAD_ATTR(locks_excluded(__VA_ARGS__))
#define WEIR_NO_THREAD_SAFETY_ANALYSIS WEIR_THREAD_ATTR(no_thread_safety_analysis)

namespace weir {

class WEIR_CAPABILITY("mutex") Mutex {
 public:
  void lock() WEIR_ACQUIRE() { mutex_.lock(); }
  void unlock() WEIR_RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class WEIR_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) WEIR_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() WEIR_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits on a Mutex that the caller holds.
class ConditionVariable {
 public:
  void wait(Mutex& mutex) WEIR_REQUIRES(mutex) { cv_.wait(mutex); }
  template <typename Rep, typename Period>
  std::cv_status wait_for(Mutex& mutex, std::chrono::duration<Rep, Period> timeout)
      WEIR_REQUIRES(mutex) {
    return cv_.wait_for(mutex, timeout);
  }
  void notify_one() { cv_.notify_one(); }
  void notify_all() { cv_.notify_all(); }

 private:
  std::condition_variable_any cv_;
};

}  // namespace weir
