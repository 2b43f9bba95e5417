// The comparison of two evaluations as one HTML page without outside parts: verdict, losses with
// intervals, KL histogram, worst prompts side by side. Any thread.
#pragma once

#include <string>

#include "ops/eval/compare.h"

namespace weir::bench {

std::string eval_comparison_html(const ops::Comparison& c, const ops::EvalRun& base,
                                 const ops::EvalRun& candidate, const ops::Gate& gate);

}  // namespace weir::bench
