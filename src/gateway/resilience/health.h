// Active health checks of one endpoint: when to check, and what the results make of it. Pure: time
// and results are passed in; the checks themselves are the caller's.
#pragma once

#include <cstdint>

namespace weir::gateway {

struct HealthConfig {
  bool enabled = true;               // false: always healthy, never due
  bool starts_healthy = true;        // before the first check; which alone decides then
  int64_t interval_ms = 5'000;       // >= 10
  int64_t fast_interval_ms = 1'000;  // while the last results differ from the state, and after a
                                     // request failed
  int64_t timeout_ms = 2'000;        // of a check
  double jitter = 0.2;               // up to this part of an interval earlier or later; 0 .. 1
  int32_t rise = 2;                  // good results in a row that make it healthy; >= 1
  int32_t fall = 3;                  // bad results in a row that make it unhealthy; >= 1
  friend bool operator==(const HealthConfig&, const HealthConfig&) = default;
};

// One thread.
class ActiveHealth {
 public:
  // The first check is due at once, within the jitter.
  ActiveHealth(const HealthConfig& config, uint64_t seed, int64_t now_ns);

  bool healthy() const { return healthy_; }
  bool checked() const { return checks_ > 0; }
  int64_t healthy_since_ns() const { return healthy_since_ns_; }

  // When the next check is due; never (INT64_MAX) while one is under way.
  int64_t next_check_ns() const;
  void on_check_started();
  // True: the state has changed.
  bool on_check(bool good, int64_t now_ns);
  // A request failed: look soon.
  void on_request_failed(int64_t now_ns);

 private:
  int64_t jittered_ns(int64_t interval_ms);

  HealthConfig config_;
  uint64_t seed_;
  uint64_t checks_ = 0;
  uint64_t draws_ = 0;
  bool healthy_;
  bool checking_ = false;
  int32_t in_a_row_ = 0;  // results that differ from the state
  int64_t healthy_since_ns_;
  int64_t next_check_ns_;
};

}  // namespace weir::gateway
