// A task whose items are right or wrong. Any thread.
#pragma once

#include <vector>

#include "ops/eval/result.h"
#include "ops/eval/suite.h"

namespace weir::ops {

// Value: the mean of the task's metric, with the standard error of a share. Summary: the mean of
// each score over the items that have it. Precondition: there are items, each with the metric.
EvalTask accuracy_task(const SuiteTask& task, std::vector<EvalItem> items);

}  // namespace weir::ops
