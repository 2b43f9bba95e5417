// How a model fits a device and how much load a replica carries within its SLO: memory by
// arithmetic, time by the roofline of step_time.h, queues by simulation. Rates that no measurement
// was fitted to are a hypothesis: a plan has two ends.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ops/data/accelerators.h"
#include "ops/plan/simulate.h"
#include "ops/plan/workload.h"

namespace weir::ops {

struct PlanSlo {  // ms; 0: not asked for
  double ttft_ms_p95 = 0, itl_ms_p95 = 0, total_ms_p99 = 0;
};
PlanSlo slo_of(const Intake& intake);

struct PlanRequest {
  std::string model_source;  // where the shape was read: an id, a file
  ModelShape shape;
  const Accelerator* device = nullptr;
  double memory_gb = 0;         // of a device, where the accelerator has none of its own (a CPU)
  double own_memory_gb = 0;     // as measured or given: in place of the accelerator's; 0: that
  int devices = 1;              // that share every layer (tensor parallel)
  int pipeline = 1;             // groups of so many devices, each with a part of the layers
  int expert_parallel = 1;      // of `devices`: groups that hold experts whole
  std::string kv_type = "f16";  // of the cache: f16 fp8 q8 fp4
  double kv_element_bytes = 2;
  double memory_share = 0.9;  // that the engine may take
  Workload workload;
  PlanSlo slo;
  int spare_replicas = 1;  // N + k
  int32_t max_running = 256;
  int32_t step_tokens = 2048;
  bool prefix_cache = true;
  int32_t draft_tokens = 0;  // speculation: of each decode; accepted each with draft_acceptance
  double draft_acceptance = 0;
  // Ends that were fitted to measurements (ops/plan/fit.h), in place of the hypothesis.
  std::optional<std::pair<Efficiency, Efficiency>> fitted;
  int fitted_devices = 0;   // that the fit was made on; 0: any. On others it is a hypothesis
  double assumed_ends = 0;  // by which the fit's ends differ without a held-out error; 0: by it
  std::string engine;       // of the intake; may be empty
  int machine_devices = 0;  // of the machines that there are, in all; 0: not known
  std::vector<std::string> from_intake;  // what was taken from there besides the workload
  size_t requests = 4000;                // simulated for each load
  uint64_t seed = 1;
};

// GB (10^9 bytes), of one device of the group.
struct PlanMemory {
  double device_gb = 0, usable_gb = 0;
  double weights_gb = 0, activations_gb = 0, kv_gb = 0;
  double states_gb = 0;           // of as many sequences as may run, where layers keep a state
  double kv_bytes_per_token = 0;  // of the whole group, in sequences of the workload's mean length
  int64_t kv_tokens = 0;          // that the group holds
  int64_t longest_tokens = 0;     // prompt and answer, both at their 95th percentile
  bool fits = false;              // one such request too

  // That one sequence may have: each batch of a pipeline has its part of the cache.
  int64_t most_tokens(int pipeline) const { return kv_tokens / std::max(1, pipeline); }
};

struct LoadPoint {
  double rate_per_s = 0;  // of one replica
  double ttft_ms_p50 = 0, ttft_ms_p95 = 0, itl_ms_p50 = 0, itl_ms_p95 = 0, total_ms_p99 = 0;
  double output_tok_s = 0;
  double busy_share = 0, kv_share = 0;
  bool meets_slo = false;
};

// One end of the range.
struct PlanEnd {
  Efficiency efficiency;
  LoadPoint alone;  // a load so small that requests do not meet
  std::optional<LoadPoint>
      most;          // the highest load of one replica within the SLO; none: not even alone
  int replicas = 0;  // for the workload's rate, with the spare ones; 0: cannot
  double usd_per_million_output_tokens = 0;  // 0: no price, or cannot
};

struct Plan {
  PlanMemory memory;
  std::string compute_type;  // of the rate that was taken: "bf16"
  PlanEnd low, high;
  bool rates_verified = false;  // every figure of the device was read at its source
};

// Errors: kUsage for a device without a rate of the type, or with neither memory nor memory_gb, and
// those of check_layout(); a model that does not fit is no error (memory.fits).
Result<Plan> make_plan(const PlanRequest& request);

// USD for a million generated tokens at the workload's rate on so many replicas, each of which
// carries `load`, at the lowest or the highest published price; 0 without one.
enum class PriceEnd : uint8_t { kLowest, kHighest };
double usd_per_million(const PlanRequest& request, const LoadPoint& load, double replicas,
                       PriceEnd end);

// What a simulation saw, as one point; meets_slo stays false.
LoadPoint load_point(const SimOutcome& outcome, double rate_per_s);

// Whether the efficiencies were fitted to this split; on another they are a hypothesis.
bool is_fitted(const PlanRequest& request);

PlanMemory plan_memory(const PlanRequest& request, double device_gb);

}  // namespace weir::ops
