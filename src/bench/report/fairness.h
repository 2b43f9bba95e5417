// How a server treats groups (tenants) of the same load, over several runs: "fairness with and
// without VTC".
#pragma once

#include <string>
#include <vector>

#include "bench/report/summary.h"

namespace weir::bench {

// Runs that are shown together, e.g. "with VTC" and "without". Names of groups by number; a group
// without a name is "group N".
struct FairnessRun {
  std::string label;
  const LoadSummary* summary = nullptr;  // outlives the call; its `groups` are shown
};

// Runs that went on at the same time, one a tenant, as one summary with a group each, numbered in
// order; only what the functions here show is filled in.
LoadSummary as_groups(const std::vector<const LoadSummary*>& tenants);

// One self-contained HTML page: p95 TTFT of each group as bars, side by side by run, with their
// intervals, the curves of TTFT by group, and Jain's index over the groups' output tokens/s.
std::string fairness_html(const std::vector<FairnessRun>& runs,
                          const std::vector<std::string>& group_names, const std::string& title);
// The bars alone, as an <svg> element.
std::string fairness_svg(const std::vector<FairnessRun>& runs,
                         const std::vector<std::string>& group_names);

// (sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has all (Jain, Chiu and Hawe 1984).
double jain_index(const std::vector<double>& shares);

}  // namespace weir::bench
