// Requests for the simulator, drawn from what an intake says of traffic.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "ops/intake/intake.h"
#include "ops/plan/simulate.h"

namespace weir::ops {

// Lengths are lognormal through median and 95th percentile; gaps between arrivals are gamma with
// the mean 1 / rate and the coefficient of variation (1: Poisson).
struct Workload {
  double prompt_p50 = 0, prompt_p95 = 0;  // tokens
  double output_p50 = 0, output_p95 = 0;
  double rate_per_s = 1;
  double arrival_cv = 1;
  double shared_share = 0;  // of the median prompt, in groups of eight requests
  int64_t context_tokens = 1 << 20;
  double mean_per_s = 0;  // over the day, where rate_per_s is the peak; 0: rate_per_s

  double mean_rate() const { return mean_per_s > 0 ? mean_per_s : rate_per_s; }
};

// At the peak's rate where the intake knows it. Error kUsage naming the fields that are missing.
Result<Workload> workload_of(const Intake& intake);

// The longest request: what the intake says, at most what the model was made for. Error kUsage
// naming the field where neither is known.
Result<int64_t> context_of(const Intake& intake, const ModelShape& shape);

// Of prompt and answer together.
double mean_tokens(const Workload& workload);

// The same seed, the same requests; another rate only stretches their arrivals.
std::vector<SimRequest> draw_requests(const Workload& workload, size_t count, uint64_t seed);

}  // namespace weir::ops
