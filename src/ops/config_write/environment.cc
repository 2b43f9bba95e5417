#include "ops/config_write/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/key.h"
#include "ops/config_write/config_line.h"

namespace weir::ops {
namespace {

constexpr int32_t kDevRunning = 16;  // a few people and a test: nothing is measured there
constexpr int64_t kDevQueued = 32;
// Where no TTFT is asked for: a full batch more may wait. A hypothesis.
constexpr int64_t kQueuedPerRunning = 1;

void set_replicas(const PlanFile& plan, EnvironmentValues& v) {
  const int planned = planned_replicas(plan);
  v.replicas_source = kFromPlan;
  if (v.name == "stage") {
    v.replicas = std::min(2, planned);
    v.replicas_why = "two show what one does not: routing, and a restart under load";
    v.replicas_source = kHypothesis;
  } else if (v.name == "prod") {
    v.replicas = planned;
    v.replicas_why = fmt::format(
        "{} for {:g} requests/s at the {} end of the plan ({} to {}), {} of them spare", planned,
        plan.workload.rate_per_s, planned == plan.replicas_low ? "optimistic" : "pessimistic",
        plan.replicas_low, plan.replicas_high, plan.spare);
    if (plan.autoscaling && plan.autoscaling->most > 1) {
      v.least = std::max(1, plan.autoscaling->least);
      v.most = std::max(v.least, plan.autoscaling->most);
    }
  } else {
    v.replicas_why =
        v.name == "dev" ? "one is enough to try things" : "each environment says how many";
    v.replicas_source = kHypothesis;
  }
  v.budget = std::max(v.replicas, v.least) > 1;
}

}  // namespace

int planned_replicas(const PlanFile& plan) {
  return plan.replicas_high > 0 ? plan.replicas_high : plan.replicas_low;
}

namespace {

// Of numbers that come from a file: far above what there is, and far below what overflows.
Status check_bounds(const PlanFile& p) {
  const PlanDisaggregation split = p.disaggregation.value_or(PlanDisaggregation());
  const PlanAutoscaling scaling = p.autoscaling.value_or(PlanAutoscaling());
  const LoadPoint none;
  const struct {
    const char* name;
    double value, most;
  } kBounds[] = {
      {"tensor_parallel", static_cast<double>(p.tensor_parallel), 10'000},
      {"pipeline_parallel", static_cast<double>(p.pipeline_parallel), 10'000},
      {"expert_parallel", static_cast<double>(p.expert_parallel), 10'000},
      {"context_tokens", static_cast<double>(p.context_tokens), 1e9},
      {"max_running", static_cast<double>(p.max_running), 1e6},
      {"step_tokens", static_cast<double>(p.step_tokens), 1e8},
      {"max_queued", static_cast<double>(p.max_queued), 1e9},
      {"replicas", static_cast<double>(planned_replicas(p)), 10'000},
      {"spare", static_cast<double>(p.spare), 10'000},
      {"prefill_replicas", static_cast<double>(split.prefill_replicas), 10'000},
      {"decode_replicas", static_cast<double>(split.decode_replicas), 10'000},
      {"autoscaling.most", static_cast<double>(scaling.most), 10'000},
      {"cold_start_s", scaling.cold_start_s, 86'400},
      {"kv_tokens", static_cast<double>(p.memory.kv_tokens), 1e12},
      {"memory.device_gb", p.memory.device_gb, 1e6},
      {"memory.weights_gb", p.memory.weights_gb, 1e6},
      {"memory.kv_gb", p.memory.kv_gb, 1e6},
      {"slo.ttft_ms_p95", p.slo.ttft_ms_p95, 1e9},
      {"low.total_ms_p99", p.low.value_or(none).total_ms_p99, 1e9},
      {"high.total_ms_p99", p.high.value_or(none).total_ms_p99, 1e9},
  };
  for (const auto& b : kBounds) {
    if (b.value >= 0 && b.value <= b.most) continue;
    return make_error(ErrorCode::kUnsupported, "the plan's {} is {:g}: 0 to {:g} can be written",
                      b.name, b.value, b.most);
  }
  return {};
}

}  // namespace

Status check_plan(const PlanFile& plan) {
  if (!plan.memory.fits) {
    const PlanMemory& m = plan.memory;
    return make_error(
        ErrorCode::kUnsupported,
        "{} does not fit: of a device's {:.1f} GB the engine may take {:.1f}, weights take {:.1f} "
        "and activations {:.1f}; plan more devices (weir plan --devices), fewer bits "
        "(--weight-bits) or a larger device",
        plan.model_name.empty() ? plan.model_source : plan.model_name, m.device_gb, m.usable_gb,
        m.weights_gb, m.activations_gb);
  }
  WEIR_TRY(check_bounds(plan));
  if (plan.model_source.empty())
    return make_error(ErrorCode::kUnsupported, "the plan does not say where its model comes from");
  if (planned_replicas(plan) <= 0) {
    return make_error(ErrorCode::kUnsupported,
                      "the plan meets its SLO with no number of replicas: plan another device, "
                      "split or SLO first (weir plan)");
  }
  return {};
}

Result<EnvironmentValues> environment_values(const PlanFile& plan, std::string_view name) {
  static const std::vector<std::string> kNames{"base", "dev", "stage", "prod"};
  WEIR_TRY(check_plan(plan));
  if (std::find(kNames.begin(), kNames.end(), name) == kNames.end()) {
    return make_error(ErrorCode::kUsage,
                      "{}: no environment; there are dev, stage and prod, the nearest is {}", name,
                      config::nearest(name, kNames));
  }
  EnvironmentValues v;
  v.name = name;
  set_replicas(plan, v);
  const bool asked = plan.max_queued > 0;
  v.max_running = plan.max_running;
  v.max_queued = asked ? plan.max_queued : kQueuedPerRunning * plan.max_running;
  v.queued_source = asked ? kFromPlan : kHypothesis;
  v.limits_why = asked ? fmt::format("more than that would wait past a first token of {:g} ms",
                                     plan.slo.ttft_ms_p95)
                       : "the plan has no limit for the first token: one more full batch may wait";
  if (v.name == "dev") {
    v.max_running = std::min(v.max_running, kDevRunning);
    v.max_queued = std::min(v.max_queued, kDevQueued);
    v.queued_source = kHypothesis;
    v.limits_why = "a few people and tests; an overload shows early";
  }
  return v;
}

}  // namespace weir::ops
