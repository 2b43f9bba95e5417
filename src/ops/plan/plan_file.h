// A plan as a file (schema "weir-plan-1"): what weir plan -o writes, and what the writers of
// configurations, reviews and costs read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/plan/plan.h"
#include "text/json.h"

namespace weir::ops {

// Replicas of either kind; the group of both is what the plan repeats.
struct PlanDisaggregation {
  int prefill_replicas = 0, decode_replicas = 0;
};

struct PlanAutoscaling {
  int least = 1, most = 1;  // replicas
  double queued_per_replica = 0;
  double cold_start_s = 0;
};

struct PlanFile {
  std::string created;         // YYYY-MM-DD
  std::string evidence_class;  // "hypothesis", or "fitted" to measurements
  // What is served.
  std::string model_source, model_name, architecture;
  std::string precision;  // "bf16", "fp8", "int4", "q4_0", ...
  double parameters = 0, bits_per_weight = 16;
  int64_t context_tokens = 0;  // that a request may have: no more than the KV cache holds of one
  std::string kv_type;         // "f16", "fp8", "q8", "fp4"
  // On what. Devices of a replica: tensor_parallel x pipeline_parallel.
  std::string accelerator, accelerator_name;  // id and name of data/accelerators.yaml
  int tensor_parallel = 1, pipeline_parallel = 1, expert_parallel = 1;
  std::string compute_type;  // of the rate that was taken
  bool rates_verified = false;
  // Limits of a replica.
  double memory_share = 0.9;
  int32_t max_running = 256, step_tokens = 2048;
  int64_t max_queued = 0;  // requests that may wait and still meet the TTFT objective
  bool prefix_cache = true;
  int speculative_tokens = 0;  // drafts a step; 0: no speculation
  // The fleet, spare ones counted: as few as the optimistic end needs (`high`), as many as the
  // pessimistic one (`low`). 0: cannot.
  int replicas_low = 0, replicas_high = 0, spare = 1;
  std::optional<PlanDisaggregation> disaggregation;
  std::optional<PlanAutoscaling> autoscaling;
  // The arithmetic behind it.
  PlanMemory memory;
  PlanSlo slo;
  Workload workload;
  Efficiency low_efficiency, high_efficiency;
  std::optional<LoadPoint> low_alone, high_alone;  // a load so small that requests do not meet
  std::optional<LoadPoint> low, high;              // the highest of a replica within the SLO
  double low_usd_per_million = 0, high_usd_per_million = 0;  // generated tokens; 0: no price

  int devices() const { return tensor_parallel * pipeline_parallel; }
};

// What make_plan() found, for the request that it was asked.
PlanFile plan_file(const PlanRequest& request, const Plan& plan, std::string created);

text::Json plan_file_json(const PlanFile& plan);

// Errors: kInvalidJson; kInvalidValue naming the field, what it must be and what makes such a file.
// Fields that are not known are passed over: newer versions may add some.
Result<PlanFile> parse_plan_file(std::string_view json);
// The same of a file of at most 1 MiB; errors name it.
Result<PlanFile> read_plan_file(const std::string& path);

}  // namespace weir::ops
