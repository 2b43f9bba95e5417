// One replica of a plan under load, in the simulation.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "base/result.h"
#include "ops/plan/plan.h"

namespace weir::ops {

// The rates of a plan's device, and what of its figures was taken.
struct PlanDevice {
  double memory_gb = 0;  // of one
  DeviceRates rates;
  std::string compute_type;  // of the matrices: the model's where the device has it
  bool verified = false;     // every figure was read at its source
};

// Errors: those of make_plan() that are about the device.
Result<PlanDevice> plan_device(const PlanRequest& request);

// The two ends of a plan's range: fitted ones, or the hypothesis.
struct EfficiencyRange {
  Efficiency low, high;
};
EfficiencyRange efficiency_range(const PlanRequest& request);
// Half way between the ends, for questions about one figure.
Efficiency middle(const EfficiencyRange& range);

// Borrows the request. One thread.
class ReplicaTrial {
 public:
  ReplicaTrial(const PlanRequest& request, const PlanDevice& device, const Efficiency& efficiency);

  // So many requests a second; a load that it cannot carry does not meet the SLO. Errors: those of
  // simulate().
  Result<LoadPoint> at(double rate_per_s) const;
  // A load so small that requests do not meet.
  Result<LoadPoint> alone() const;
  // The highest within the SLO, `alone` being the smallest; none: not even that.
  Result<std::optional<LoadPoint>> most(const LoadPoint& alone) const;

  const StepTime& time() const { return time_; }
  // The replica's batches: one, or as many as its pipeline has groups of layers.
  const SimFleet& fleet() const { return fleet_; }

 private:
  const PlanRequest& request_;
  RooflineStepTime time_;
  SimFleet fleet_;
};

// The highest load within the SLO that is found by doubling from `alone` and halving what lies
// between: as at() says by meets_slo. nullopt: not even alone.
Result<std::optional<LoadPoint>> highest_load(const std::function<Result<LoadPoint>(double)>& at,
                                              const LoadPoint& alone);

// Whether the load was carried, whatever the SLO: waiting did not grow with it. Precondition:
// requests, and their outcome.
bool is_carried(std::span<const SimRequest> requests, const SimOutcome& outcome);

bool meets(const LoadPoint& point, const PlanSlo& slo);

}  // namespace weir::ops
