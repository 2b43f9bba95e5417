// A source that is read again, or another of its kind, replaces what the first one said as a group:
// a share of one trace does not stay beside the lengths of another.
#pragma once

#include "ops/intake/intake.h"

namespace weir::ops {

// Takes out of `known` what was read from a trace, a configuration, a model or a running server,
// where `found` comes from a source of that kind. What a person gave stays.
void forget_replaced(Intake& known, const Intake& found);

}  // namespace weir::ops
