// What advice had to assume, for people.
#pragma once

#include <string>
#include <vector>

#include "ops/advise/advice.h"

namespace weir::ops {

// Required fields that are missing, then steps whose answer was assumed: all of them, or how many
// they are and the five whose fields could change most (field_weights of `trees`). "" where nothing
// was assumed.
std::string assumed_text(const Advice& advice, const std::vector<Tree>& trees,
                         const std::vector<const IntakeField*>& missing, bool all);

}  // namespace weir::ops
