// What a machine says about the hardware fields of an intake.
#pragma once

#include <string>

#include "ops/data/accelerators.h"
#include "ops/doctor/machine.h"
#include "ops/intake/intake.h"

namespace weir::ops {

// Origins are kMeasured; what had to be concluded is kInferred and says from what. Fields that the
// machine does not tell stay missing. source: what was read, for the evidence: "this machine".
// Errors: those of Intake::set, for figures that no machine has.
Result<Intake> intake_of_machine(const Machine& machine, const Accelerators& known,
                                 const std::string& source);

}  // namespace weir::ops
