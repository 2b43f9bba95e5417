// An endpoint that has just become ready gets its share in steps: caches and kernels are cold, and
// a whole share at once would time out and put it out again. Pure; any thread.
#pragma once

#include <cstdint>

namespace weir::gateway {

struct SlowStartConfig {
  int64_t window_ms = 10'000;  // until the whole weight; 0: none
  double min_weight = 0.1;     // at the start; 0.01 .. 1
  double aggression = 1.0;     // 1: linear; above: more early; 0.1 .. 10
  friend bool operator==(const SlowStartConfig&, const SlowStartConfig&) = default;
};

// What to multiply the endpoint's weight with, min_weight .. 1:
// max(min_weight, (time since ready / window) ^ (1 / aggression)), as Envoy's slow start.
double slow_start_weight(const SlowStartConfig& config, int64_t ready_since_ns, int64_t now_ns);

}  // namespace weir::gateway
