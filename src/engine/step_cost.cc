#include "engine/step_cost.h"

#include <algorithm>
#include <cmath>

namespace weir::engine {
namespace {
constexpr double kGuessPerToken = 0.2;  // of a step of one token
constexpr double kCommonRate = 0.08;    // of the deviation, in logarithms
constexpr double kOwnRate = 0.04;
constexpr double kLargestDeviation = 0.7;  // a factor of 2
}  // namespace

LearnedStepCost::LearnedStepCost() {
  for (size_t i = 0; i < kKnots.size(); ++i) ms_[i] = 1.0 + kGuessPerToken * (kKnots[i] - 1);
}

LearnedStepCost::Place LearnedStepCost::place(int32_t tokens) {
  size_t i = kKnots.size() - 2;
  while (i > 0 && kKnots[i] > tokens) --i;
  const double span = kKnots[i + 1] - kKnots[i];
  return {i, std::max(0.0, (tokens - kKnots[i]) / span)};
}

double LearnedStepCost::of(int32_t tokens) const {
  const Place p = place(tokens);
  return ms_[p.knot] + p.fraction * (ms_[p.knot + 1] - ms_[p.knot]);
}

void LearnedStepCost::guess(const StepCosts& costs) {
  if (scaled_ || !costs.known()) return;
  for (size_t i = 0; i < kKnots.size(); ++i)
    ms_[i] = std::max(1e-3, costs.fixed_ms + costs.decode_token_ms * kKnots[i]);
}

void LearnedStepCost::learn(int32_t tokens, double ms) {
  if (tokens < 1 || !(ms > 0)) return;
  double deviation = std::log(ms / of(tokens));
  if (!scaled_) {
    for (double& knot : ms_) knot *= std::exp(deviation);
    scaled_ = true;
    return;
  }
  deviation = std::clamp(deviation, -kLargestDeviation, kLargestDeviation);
  for (double& knot : ms_) knot *= std::exp(kCommonRate * deviation);
  const Place p = place(tokens);
  const double next = std::min(p.fraction, 1.0);
  ms_[p.knot] *= std::exp(kOwnRate * deviation * (1.0 - next));
  ms_[p.knot + 1] *= std::exp(kOwnRate * deviation * next);
  // More tokens never take less: the knots that say otherwise are moved.
  for (size_t i = p.knot + (next > 0.5 ? 1 : 0); i > 0 && ms_[i - 1] > ms_[i]; --i)
    ms_[i - 1] = ms_[i];
  for (size_t i = p.knot; i + 1 < ms_.size(); ++i) ms_[i + 1] = std::max(ms_[i + 1], ms_[i]);
}

}  // namespace weir::engine
