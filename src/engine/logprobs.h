// Log probabilities of one row of logits: the model's distribution, before temperature and
// penalties. Generated tokens and those of a prompt get theirs here, so they are the same numbers.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "kernels/kernels.h"

namespace weir::engine {

// The greatest of logits [vocab]. Error: kInternal when one is NaN or +infinite, or all are
// -infinite.
Result<float> checked_max(std::span<const float> logits);

// The n most likely tokens and their log probabilities, most likely first, equal ones by id; tokens
// that cannot come (a logit of -infinity) are left out.
std::vector<std::pair<int32_t, float>> most_likely(std::span<const float> logits, double log_sum,
                                                   int32_t n);

// Token `id` with its log probability and the `top` most likely. kernels: those that made the
// logits. Errors: those of checked_max.
// Precondition: 0 <= id < vocab.
Result<TokenInfo> describe_token(const kernels::Kernels& kernels, std::span<const float> logits,
                                 int32_t id, int32_t top);

}  // namespace weir::engine
