// What answers make of the items of a task that generates, whoever gave them. answers[i] is that to
// items[i]. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "ops/eval/code_sandbox.h"
#include "ops/eval/generate.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"

namespace weir::ops {

// Of "generate", judged by the task's scorer. Errors: those of Scorer::make.
Result<EvalTask> score_answers(const SuiteTask& task, std::span<const GenerateItem> items,
                               std::span<const Generated> answers);

// Of "code": runs each answer with its tests. Errors: those of `run`.
Result<EvalTask> score_code_answers(const SuiteTask& task, std::span<const GenerateItem> items,
                                    std::span<const Generated> answers, const RunCode& run,
                                    const std::function<void(int64_t done, int64_t all)>& progress);

// Of "retrieval": "acc", and "acc@LENGTH" beside it.
EvalTask score_needles(const SuiteTask& task, std::span<const GenerateItem> items,
                       std::span<const Generated> answers);

// Of "determinism": "same", whether both answers have the same bytes.
EvalTask score_same(const SuiteTask& task, std::span<const GenerateItem> items,
                    std::span<const Generated> alone, std::span<const Generated> crowd);

}  // namespace weir::ops
