// Plans as people read them: text, and a page with plots.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/plan/fleet.h"
#include "ops/plan/plan_file.h"
#include "ops/plan/plan_sensitivity.h"
#include "ops/plan/search.h"
#include "ops/plan/validate.h"

namespace weir::ops {

// One plan and what was asked besides; what was not is empty.
struct PlanReport {
  std::string name;  // "" for the plan itself, else the changes of a --what-if
  PlanRequest request;
  PlanFile plan;
  std::vector<LoadPoint> low_curve, high_curve;  // one replica, ascending loads
  std::optional<PlanSensitivity> sensitivity;
  bool asked_disaggregation = false, asked_autoscaling = false;
  std::optional<DisaggregatedFleet> disaggregated;
  std::optional<AutoscaledFleet> autoscaled;
  std::optional<FailureOutcome> failure;
};

// Loads from little to somewhat beyond what a replica carries. Errors: those of simulate().
Result<std::vector<LoadPoint>> load_curve(const ReplicaTrial& trial, const LoadPoint& alone,
                                          const std::optional<LoadPoint>& most);

// Devices that the planned replicas take, and that the intake's machines have in all; 0: not known.
struct MachineNeed {
  int64_t pessimistic = 0, optimistic = 0;  // 0: that end cannot
  int64_t devices = 0;
};
MachineNeed machine_need(const PlanReport& report);

// The plan to go on with: one that both ends meet comes before one that the optimistic end meets,
// then the fewest devices in all, of one accelerator also the cheapest. nullptr: none meets.
const PlanReport* best_plan(std::span<const PlanReport> reports);

// What is planned and how its ends come about.
std::string head_text(const PlanRequest& request);
std::string plan_text(const PlanReport& report);
// Columns beside each other, the first one the plan itself.
std::string what_if_text(const std::vector<PlanReport>& reports);
std::string search_text(const SearchResult& result, size_t most_rows);
std::string validation_text(const Validation& validation);

// The page of all of them; search may be nullptr.
std::string plan_html(const std::vector<PlanReport>& reports, const SearchResult* search);

text::Json search_json(const SearchResult& result);
text::Json validation_json(const Validation& validation);
// plan_file_json() and what was asked besides.
text::Json plan_report_json(const PlanReport& report);

}  // namespace weir::ops
