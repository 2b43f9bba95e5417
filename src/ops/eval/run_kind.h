// Which function of a run a task's kind calls. Internal to ops/.
#pragma once

#include <string_view>

#include "base/result.h"
#include "ops/eval/result.h"

namespace weir::ops {

// Run: has choices(), generate(), code(), retrieval() and determinism(). kind: of a suite that was
// read.
template <typename Run>
Result<EvalTask> run_kind(Run& run, std::string_view kind) {
  if (kind == "multiple_choice") return run.choices();
  if (kind == "retrieval") return run.retrieval();
  if (kind == "determinism") return run.determinism();
  if (kind == "code") return run.code();
  return run.generate();
}

}  // namespace weir::ops
