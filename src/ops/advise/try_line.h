// The command that an action says to try, for one deployment.
#pragma once

#include <string>

#include "ops/advise/action.h"

namespace weir::ops {

// The action's command with the intake's values, that for GGUF where such an engine serves or no
// accelerator is there. Limits that nobody set, or that are an hour or more, are left out of --slo;
// where the peak is not known the mean stands for it. Without --project and its like, which the
// caller knows.
std::string try_line(const Action& action, const Intake& intake);

}  // namespace weir::ops
