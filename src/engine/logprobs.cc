#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/ops.h"

namespace weir::engine {

Result<float> checked_max(std::span<const float> logits) {
  float max = -std::numeric_limits<float>::infinity();
  bool nan = false;
  for (const float l : logits) {
    nan |= l != l;
    max = std::max(max, l);
  }
  if (nan || !std::isfinite(max))
    return make_error(ErrorCode::kInternal, "the model's logits are not finite");
  return max;
}

std::vector<std::pair<int32_t, float>> most_likely(std::span<const float> logits, double log_sum,
                                                   int32_t n) {
  std::vector<std::pair<int32_t, float>> best;  // greatest first; logits until the end
  if (n <= 0) return best;
  const auto count = static_cast<size_t>(n);
  best.reserve(count + 1);
  float least = -std::numeric_limits<float>::infinity();  // what a logit must exceed to be taken
  for (size_t i = 0; i < logits.size(); ++i) {
    const float l = logits[i];
    if (!(l > least)) continue;
    const auto at = std::upper_bound(best.begin(), best.end(), l,
                                     [](float value, const auto& b) { return value > b.second; });
    best.insert(at, {static_cast<int32_t>(i), l});
    if (best.size() > count) best.pop_back();
    if (best.size() == count) least = best.back().second;
  }
  for (auto& [id, value] : best) value = static_cast<float>(static_cast<double>(value) - log_sum);
  return best;
}

Result<TokenInfo> describe_token(const kernels::Kernels& kernels, std::span<const float> logits,
                                 int32_t id, int32_t top) {
  WEIR_ASSIGN(const float max, checked_max(logits));
  const double log_sum = kernels::log_sum_exp(kernels, logits.data(), logits.size(), max);
  TokenInfo token;
  token.id = id;
  token.logprob =
      static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum);
  token.top = most_likely(logits, log_sum, top);
  return token;
}

}  // namespace weir::engine
