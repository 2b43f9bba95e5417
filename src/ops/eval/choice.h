// Multiple choice by log-likelihood, as lm-evaluation-harness scores it: a choice follows the
// prompt and a space; its tokens are those of the whole text past the prompt's; acc takes the
// choice with the greatest sum of log-probabilities, acc_norm that with the greatest sum for each
// character. Source: lm_eval/api/{model,task}.py (loglikelihood, process_results).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/runner.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"
#include "text/tokenizer.h"

namespace weir::ops {

// progress(items done, all items), on the calling thread.
using ChoiceProgress = std::function<void(int64_t, int64_t)>;

// items[i] is scored, on the calling thread; an error ends the run.
using ChoiceDone = std::function<Status(size_t i, const EvalItem&)>;

// Scores "acc" and "acc_norm" (0 or 1) and "ll" (log-likelihood of the right choice, nats) of each
// item. Several items and all their choices are one forward call each, over shared pages of the
// prompt; what all prompts begin with is computed once; a prompt too long for the window loses its
// beginning and has the score kPromptCut (choice_score.h). Uses the runner's pages. Errors:
// kInvalidValue naming an item that does not fit; what the runner returns; kInternal for a logit
// that is not finite. Adds to `tokens` what was computed.
Result<std::vector<EvalItem>> score_choices(engine::Runner& runner,
                                            const text::Tokenizer& tokenizer,
                                            std::span<const ChoiceItem> items, int64_t& tokens,
                                            const ChoiceProgress& progress,
                                            const ChoiceDone& done = {});

}  // namespace weir::ops
