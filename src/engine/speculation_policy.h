// How many draft tokens each sequence gets verified in a step: a pure function of their chances and
// of what steps cost.
//
// A step that computes n tokens and expects e of them to become progress has the speed e / cost(n).
// Draft tokens are added in order of their chance, the most likely of all sequences first (the
// chances of one sequence fall, so its tokens stay in order), and the best prefix of that order
// wins; since the cost depends on the number alone, no other choice of tokens is better. Where the
// batch is bound by arithmetic, a token costs as much as it could bring and nothing is added. (The
// same criterion as "Optimizing Speculative Decoding for Serving Large Language Models Using
// Goodput", Liu et al. 2024, with chances instead of one rate.)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/step_cost.h"

namespace weir::engine {

// step_tokens: without drafts; each of them counts as progress. chances: of each sequence, falling.
// max_drafts: over all sequences. The result: drafts of each sequence.
std::vector<int32_t> choose_depths(int32_t step_tokens,
                                   std::span<const std::span<const double>> chances,
                                   int32_t max_drafts, const StepCost& cost);

// How many tokens a draft model should guess for each of the sequences with these rates (that a
// guess is right when those before it are), one after the other at draft_ms each, which the step
// waits for. By the same criterion; cost: in ms.
int32_t choose_model_depth(int32_t step_tokens, std::span<const double> rates, int32_t max_depth,
                           double draft_ms, const StepCost& cost);

}  // namespace weir::engine
