// Time as a parameter. Production code gets SystemClock, tests and the simulator a ManualClock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace weir {

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic nanoseconds; only differences mean something. Any thread.
  virtual int64_t now_ns() const = 0;
  // Seconds since the Unix epoch. Any thread.
  virtual int64_t unix_s() const = 0;
  // The same in nanoseconds, as exact as the clock is. Any thread.
  virtual int64_t unix_ns() const { return unix_s() * 1'000'000'000; }
  double now_ms() const { return static_cast<double>(now_ns()) * 1e-6; }
};

class SystemClock final : public Clock {
 public:
  int64_t now_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  int64_t unix_s() const override {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  int64_t unix_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

// Stands still until advanced. Any thread.
class ManualClock final : public Clock {
 public:
  int64_t now_ns() const override { return now_ns_.load(std::memory_order_relaxed); }
  int64_t unix_s() const override { return 1'700'000'000 + now_ns() / 1'000'000'000; }
  void advance_ns(int64_t ns) { now_ns_.fetch_add(ns, std::memory_order_relaxed); }
  void advance_ms(double ms) { advance_ns(static_cast<int64_t>(ms * 1e6)); }

 private:
  std::atomic<int64_t> now_ns_{0};
};

}  // namespace weir
