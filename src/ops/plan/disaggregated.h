// Prefill and decode on replicas of their own: a prompt is computed on one, its keys and values go
// over a link, and another writes the answer. What decodes never holds up what prefills, so the two
// are simulated one after the other.
#pragma once

#include <span>

#include "base/result.h"
#include "ops/plan/simulate.h"

namespace weir::ops {

struct SimDisaggregated {
  SimFleet prefill, decode;
  // Of a prompt: each token, in windows no more than theirs, and what is the same for all.
  double kv_bytes_per_token = 0, window_bytes_per_token = 0, state_bytes = 0;
  int64_t window_tokens = 0;
  int links = 1;                // each sends one prompt after the other
  double link_bytes_per_s = 0;  // of one
  double link_latency_s = 0;
};

// Requests, outcome and errors as simulate() has them: TTFT is that of the prefill replicas, the
// transfer is part of the gap after the first token, waiting for a link of queue_ms. busy_s and
// replica_s are of both kinds together, max_kv_share of the decode replicas. Errors besides:
// kInvalidValue for a fleet without a link, or one without a rate.
Result<SimOutcome> simulate_disaggregated(std::span<const SimRequest> requests,
                                          const SimDisaggregated& fleet,
                                          const StepTime& prefill_time,
                                          const StepTime& decode_time);

}  // namespace weir::ops
