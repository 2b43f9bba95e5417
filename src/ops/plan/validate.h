// The simulation beside the engine: the same requests, arriving at the same moments, run on weir's
// own engine and are simulated with step times that are fitted to loads before and after.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/loaded_model.h"
#include "ops/plan/simulate.h"
#include "ops/plan/step_fit.h"
#include "ops/plan/workload.h"

namespace weir::ops {

struct LoadFigures {
  double ttft_ms_p50 = 0, ttft_ms_p95 = 0, itl_ms_p50 = 0, itl_ms_p95 = 0, output_tok_s = 0;
};

// Part of a load is run again where others on the machine had as many of the engine's cores on
// average, or where what the engine carries differed by this share before and after.
inline constexpr double kDisturbedCores = 0.08;
inline constexpr double kDisturbedDrift = 0.1;

struct ValidateOptions {
  Workload workload;                                   // its rate does not count
  std::vector<double> shares = {0.3, 0.5, 0.7, 0.85};  // of what the engine can carry
  double seconds = 20;                                 // of arrivals at each load
  int32_t max_running = 16;
  int32_t step_tokens = 512;
  int64_t kv_tokens = 0;  // of the loaded model's cache
  double idle_cores = 0;  // that the engine leaves to others
  int attempts = 4;       // at a part of a load while the machine is disturbed
  uint64_t seed = 1;
};

struct ValidatedLoad {
  double rate_per_s = 0;
  size_t requests = 0;
  // How the machine was in the worst part of it, of the attempts that are shown: cores of the
  // engine's that others had on average, and by how much what the engine carries changed from
  // before to after.
  double others_cores = 0;
  double drift = 0;
  int attempts = 1;  // the most that a part took
  LoadFigures predicted, measured;

  // Of 1 and more: the machine changed so much that the errors say little.
  static double disturbance(double others_cores, double drift) {
    return std::max(others_cores / kDisturbedCores, drift / kDisturbedDrift);
  }
  double disturbance() const { return disturbance(others_cores, drift); }
};

struct Validation {
  StepFit fit;              // around the last load
  size_t fitted_steps = 0;  // that fit is of
  double most_per_s = 0;    // requests, what that fit says the engine carries
  std::vector<ValidatedLoad> loads;
  double median_error = 0,
         p95_error = 0;             // of all figures of all loads, |predicted / measured - 1|
  double simulated_per_minute = 0;  // requests, on this core
};

// Loads are run in parts of about 10 s, each from an idle engine, and steps are fitted to requests
// before and after each part, others than its own; where the machine was disturbed meanwhile all of
// it is done again. That is decided by the time of other processes and by those two fits alone,
// never by how well the load was predicted. Blocks for about 1.5 · shares · seconds, times attempts
// at most, and what the last requests take. progress: what is run, on the calling thread. The
// model's runner must be unused. Errors: those of the engine; kUsage where no request of the
// workload fits the cache.
Result<Validation> validate_plan(engine::LoadedModel& model, const Clock& clock,
                                 const ValidateOptions& options,
                                 const std::function<void(const std::string&)>& progress);

// |predicted / measured - 1| of the five figures.
std::vector<double> prediction_errors(const ValidatedLoad& load);

}  // namespace weir::ops
