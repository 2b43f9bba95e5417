// What answers make of the items of a task that generates, whoever gave them. answers[i] is that to
// items[i]. Any thread.
#pragma once

#include <span>

#include "base/result.h"
#include "ops/eval/generate.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"

namespace weir::ops {

// Of "generate", judged by the task's scorer. Errors: those of Scorer::make.
Result<EvalTask> score_answers(const SuiteTask& task, std::span<const GenerateItem> items,
                               std::span<const Generated> answers);

// Of "retrieval": "acc", and "acc@LENGTH" beside it.
EvalTask score_needles(const SuiteTask& task, std::span<const GenerateItem> items,
                       std::span<const Generated> answers);

// Of "determinism": "same", whether both answers have the same bytes.
EvalTask score_same(const SuiteTask& task, std::span<const GenerateItem> items,
                    std::span<const Generated> alone, std::span<const Generated> crowd);

}  // namespace weir::ops
