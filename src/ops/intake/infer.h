// What follows of an intake where nobody said it.
#pragma once

#include <string_view>

#include "ops/intake/intake.h"

namespace weir::ops {

// Bits of a weight in a precision of model.precision, scales included: 4.5 for int4 and fp4 (a
// block of 16 or 32 weights has a scale). 0 for another word.
double precision_bits(std::string_view precision);

// `intake` with model.bits_per_weight from model.precision, marked as inferred, where it is not
// known; stack.tensor_parallel 1 where it serves on CPUs.
Intake with_inferred(Intake intake);

}  // namespace weir::ops
