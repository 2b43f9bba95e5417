// What dev, stage and prod differ in. One replica is configured alike in stage and prod, so that
// what is measured in stage holds in prod; dev takes fewer requests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/plan/plan_file.h"

namespace weir::ops {

// Replicas of either kind.
struct SplitReplicas {
  int prefill = 1, decode = 1;
  std::string why, source;
};

struct EnvironmentValues {
  std::string name;  // "base", "dev", "stage", "prod"
  int replicas = 1;
  int least = 0, most = 0;  // of the autoscaler; 0: there is none
  bool budget = false;      // a PodDisruptionBudget
  bool monitored() const { return name == "stage" || name == "prod"; }
  int32_t max_running = 0;
  int64_t max_queued = 0;  // of a replica
  std::string replicas_why, limits_why, replicas_source, queued_source;
  std::optional<SplitReplicas> split;  // of a plan with prefill and decode apart, for its writers
};

// "base" is one replica as planned, which the others change. Errors: kUsage for another name (with
// those there are); kUnsupported for a plan whose model does not fit, or whose SLO no number of
// replicas meets, with what to do.
Result<EnvironmentValues> environment_values(const PlanFile& plan, std::string_view name);

// What a plan must be to be written down at all: it fits, its numbers are within bounds, its names
// hold no control characters and begin with no dash. The same errors but the name's.
Status check_plan(const PlanFile& plan);

// Replicas for the plan's load: the pessimistic end, or the other where that one has none.
int planned_replicas(const PlanFile& plan);
// Of which end they are: "pessimistic", "optimistic".
std::string_view planned_end(const PlanFile& plan);

}  // namespace weir::ops
