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
