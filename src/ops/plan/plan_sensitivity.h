// Which input moves the answer: each by itself is set to the ends of its range, and the devices
// that the load then needs are counted (a fraction: whole replicas would hide small changes).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ops/plan/replica_trial.h"

namespace weir::ops {

struct SensitivityBar {
  std::string input;                // "prompt tokens"
  std::string low_text, high_text;  // "-20 %", "0.35"
  double at_low = 0, at_high = 0;   // devices; 0: the SLO cannot be met
};

struct PlanSensitivity {
  double devices = 0;                // at the middle of everything; 0: cannot
  std::vector<SensitivityBar> bars;  // those that move most first
};

// At the middle of the efficiency range. Errors: those of make_plan().
Result<PlanSensitivity> plan_sensitivity(const PlanRequest& request);

}  // namespace weir::ops
