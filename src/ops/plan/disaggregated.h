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
  double kv_bytes_per_token = 0;
  double link_bytes_per_s = 0;  // what a transfer gets
  double link_latency_s = 0;
};

// Requests, outcome and errors as simulate() has them: TTFT is that of the prefill replicas, the
// transfer is part of the gap after the first token. busy_s and replica_s are of both kinds
// together, max_kv_share of the decode replicas. Errors besides: kInvalidValue for a link without
// a rate.
Result<SimOutcome> simulate_disaggregated(std::span<const SimRequest> requests,
                                          const SimDisaggregated& fleet,
                                          const StepTime& prefill_time,
                                          const StepTime& decode_time);

}  // namespace weir::ops
