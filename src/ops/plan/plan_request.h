// What of a plan an intake answers where no flag does.
#pragma once

#include "base/result.h"
#include "ops/intake/intake.h"
#include "ops/plan/plan.h"

namespace weir::ops {

// What was said by flags: the intake does not change it.
struct PlanGiven {
  bool devices = false, pipeline = false, kv_type = false, weights = false, memory = false;
  bool max_running = false, step_tokens = false;
};

// Which of the intake's answers are about what is planned.
struct PlanSubject {
  bool own_model = true;        // the intake's, not another one that a flag names
  bool published_model = true;  // from a list, so its precision is not that of the served weights
  bool own_accelerator = true;
};

// Devices, limits, the cache's type, precision, memory, engine and machines, each named in
// request.from_intake where it shapes the replica. Precondition: the request has shape and, where
// the accelerator is the intake's own, device. Errors: kUsage for values that no plan can have.
Status take_from_intake(const Intake& intake, const PlanGiven& given, const PlanSubject& subject,
                        PlanRequest& request);

}  // namespace weir::ops
