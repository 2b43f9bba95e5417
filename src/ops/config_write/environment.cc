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

constexpr int kMostOfAKind = 8;  // in stage, beside one of the other kind

// Prefill and decode apart: the plan's own numbers, each kind with the spare ones.
SplitReplicas split_of(const PlanFile& plan, const std::string& environment) {
  const PlanDisaggregation& d = *plan.disaggregation;
  const std::string planned =
      fmt::format("{} prefill and {} decode carry {:g} requests/s by the plan", d.prefill_replicas,
                  d.decode_replicas, plan.workload.rate_per_s);
  if (environment == "prod") {
    return {d.prefill_replicas + plan.spare, d.decode_replicas + plan.spare,
            fmt::format("{}; {} of each kind spare", planned, plan.spare), std::string(kFromPlan)};
  }
  if (environment != "stage")
    return {1, 1, "one of each kind is enough to try things", std::string(kHypothesis)};
  const int least = std::min(d.prefill_replicas, d.decode_replicas);
  const auto share = [&](int replicas) {
    return std::min(kMostOfAKind, (replicas + least / 2) / least);
  };
  return {
      share(d.prefill_replicas), share(d.decode_replicas),
      fmt::format("{}; their ratio, as few as can be, {} of a kind at most", planned, kMostOfAKind),
      std::string(kHypothesis)};
}

void set_replicas(const PlanFile& plan, EnvironmentValues& v) {
  const int planned = planned_replicas(plan);
  if (plan.disaggregation) v.split = split_of(plan, v.name);
  v.replicas_source = kFromPlan;
  if (v.name == "stage") {
    v.replicas = std::min(2, planned);
    v.replicas_why = "two show what one does not: routing, and a restart under load";
    v.replicas_source = kHypothesis;
  } else if (v.name == "prod") {
    v.replicas = planned;
    v.replicas_why =
        fmt::format("{} for {:g} requests/s at the {} end of the plan ({} to {}), {} of them spare",
                    planned, plan.workload.rate_per_s, planned_end(plan), plan.replicas_low,
                    plan.replicas_high, plan.spare);
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

std::string_view planned_end(const PlanFile& plan) {
  return plan.replicas_high > 0 ? "pessimistic" : "optimistic";
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
