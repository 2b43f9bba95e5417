// What a plan says of a whole fleet: prefill and decode apart, a size that follows the load, and a
// replica that fails.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/plan/replica_trial.h"

namespace weir::ops {

// Prefill and decode on replicas of their own, as many of each as the workload needs within the
// SLO, spare ones not counted.
struct DisaggregatedFleet {
  int prefill_replicas = 0, decode_replicas = 0;
  LoadPoint prefill_most, decode_most;  // of one replica of either kind
  LoadPoint load;                       // of the fleet at the workload's rate
  double transfer_ms = 0;               // of the median prompt's keys and values
};

// link_bytes_per_s: of one replica's link, which sends one prompt after the other; the fleet has as
// many as the smaller of both kinds. nullopt: not even one request at a time
// meets the SLO. Errors: those of simulate_disaggregated().
Result<std::optional<DisaggregatedFleet>> plan_disaggregated(const PlanRequest& request,
                                                             const PlanDevice& device,
                                                             const Efficiency& efficiency,
                                                             double link_bytes_per_s);

// A day's load in short: from `trough` times the workload's rate up to it and back, as a cosine.
struct AutoscaleQuestion {
  double trough = 0.3;       // of the rate; a hypothesis where no trace says it
  double cold_start_s = 60;  // from the decision to the first request
  double period_s = 7200;    // shortened where it would be more than kMostRequests requests
  static constexpr size_t kMostRequests = 100'000;
};

struct AutoscaledFleet {
  SimAutoscaler rule;
  LoadPoint load;
  double period_s = 0;
  double replica_share = 0;  // of the replica hours of a fleet that is always of the peak's size
  std::vector<SimScale> scale;
};

// The rule with the fewest replica hours that still meets the SLO; nullopt: none of those tried
// does, so the fleet should stay as large as its peak needs; also for pipelines, which the
// simulation cannot scale. replicas: what the peak needs, spare ones counted.
Result<std::optional<AutoscaledFleet>> plan_autoscaling(const PlanRequest& request,
                                                        const ReplicaTrial& trial, int replicas,
                                                        const AutoscaleQuestion& question);

// The planned fleet at the workload's rate while one replica is down.
struct FailureOutcome {
  LoadPoint load;
  int64_t restarted = 0;  // requests that began anew elsewhere
  size_t requests = 0;
  double down_s = 0;
  int spare_that_meets = 0;  // the fewest spare replicas with which the SLO is met; 0: not known
};
Result<FailureOutcome> plan_failure(const PlanRequest& request, const ReplicaTrial& trial,
                                    int replicas, double down_s);
// Where the SLO is missed, also whether a few more spare replicas would meet it.
Result<FailureOutcome> plan_failure_with_remedy(const PlanRequest& request,
                                                const ReplicaTrial& trial, int replicas,
                                                double down_s);

}  // namespace weir::ops
