// How many requests an endpoint may have at once: a fixed bound, or one that follows its latency.
// Pure: time is passed in.
//
// Adaptive (gradient; Netflix concurrency-limits' Gradient2, Envoy's adaptive concurrency): once a
// window, with m the median time to first byte of its requests and m0 that without load,
//   gradient = clamp(tolerance * m0 / m, 0.5, 1);   limit <- limit * gradient + sqrt(limit)
// smoothed; sqrt(limit) is the queue it allows itself. Longer waits than tolerance * m0 mean that
// requests queue at the endpoint, where they can no longer go to another one.
//
// m0 is measured, not the least ever seen: by requests that began while at most min_limit were
// under way, and when none did for remeasure_ms, the limit falls to min_limit until measure_samples
// of them have been seen. For streams the sample is the time to the FIRST byte; a stream keeps its
// place until it ends. Times of prompts of very different length are not alike: with such a mix
// choose a large tolerance or leave it fixed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::gateway {

struct ConcurrencyLimitConfig {
  bool adaptive = false;          // false: max_limit, always
  int32_t min_limit = 4;          // 1 .. max_limit
  int32_t max_limit = 1024;       // >= 1
  int32_t initial_limit = 64;     // of an adaptive one
  double tolerance = 2.0;         // >= 1
  double smoothing = 0.3;         // part of a new limit that is taken over; 0 .. 1
  int64_t window_ms = 1'000;      // at least, and at least window_samples
  int32_t window_samples = 10;    // 1 .. 256
  int64_t remeasure_ms = 60'000;  // 0: never forced
  int32_t measure_samples = 10;   // 1 .. 256
  double overload_factor = 0.9;   // the limit is multiplied with it at a 429 or a time-out, once a
                                  // window
  friend bool operator==(const ConcurrencyLimitConfig&, const ConcurrencyLimitConfig&) = default;
};

// One thread. Memory: at most 4 KiB.
class ConcurrencyLimit {
 public:
  // seed: of the jitter of remeasurement, so that endpoints do not measure at the same time.
  ConcurrencyLimit(const ConcurrencyLimitConfig& config, uint64_t seed, int64_t now_ns);

  int32_t limit() const;  // now; min_limit while measuring
  int32_t in_flight() const { return in_flight_; }
  bool has_room() const { return in_flight_ < limit(); }
  bool measuring() const { return measuring_; }
  int64_t no_load_ns() const { return no_load_ns_; }  // 0: not measured yet

  // A request begins; whether there is room is for the caller to ask. Returns how many are under
  // way with it: on_first_byte wants it.
  int32_t begin();
  void end();
  void on_first_byte(int64_t latency_ns, int32_t in_flight_at_start, int64_t now_ns);
  void on_overload(int64_t now_ns);

 private:
  void measure(int64_t latency_ns, int64_t now_ns);
  void adapt(int64_t now_ns);
  void plan_measurement(int64_t now_ns);

  ConcurrencyLimitConfig config_;
  uint64_t seed_;
  uint64_t draws_ = 0;
  double limit_;
  int32_t in_flight_ = 0;
  int32_t most_in_flight_ = 0;  // of the window
  bool measuring_ = false;
  bool measured_ = false;  // once, with all samples
  int64_t no_load_ns_ = 0;
  int64_t measure_at_ns_ = 0;
  int64_t window_start_ns_;
  int64_t overload_at_ns_;
  std::vector<int64_t> window_;  // latencies, the newest kMostSamples
  size_t window_next_ = 0;
  std::vector<int64_t> quiet_;  // while measuring, or without load
};

}  // namespace weir::gateway
