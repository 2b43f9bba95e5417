// The fields of intake that a configuration answers.
#pragma once

#include "base/result.h"
#include "ops/intake/intake.h"
#include "ops/lint/lint.h"

namespace weir::ops {

// Of the first engine of the file. What the file says is measured, with FILE:LINE as evidence;
// defaults of the engine's snapshot and what follows from the engine are inferred. Values that an
// intake field does not take are left out.
Result<Intake> intake_of_config(const LintReport& report);

}  // namespace weir::ops
