// What is wrong with single flags and keys: unknown, removed, deprecated, values of a wrong type,
// given twice, words that belong to none.
#pragma once

#include <vector>

#include "ops/lint/facts.h"
#include "ops/lint/rules.h"

namespace weir::ops {

std::vector<Finding> check_flags(const CallView& call, const LintRules& rules);

}  // namespace weir::ops
