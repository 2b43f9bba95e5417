// Values of an intake that cannot hold together.
#pragma once

#include <string>
#include <vector>

#include "ops/intake/intake.h"

namespace weir::ops {

struct IntakeConflict {
  std::string first, second;  // paths of fields
  std::string what;           // a sentence that names both, with their values
};

// In the order of the rules; none where a field is not known. Pure.
std::vector<IntakeConflict> find_conflicts(const Intake& intake);

}  // namespace weir::ops
