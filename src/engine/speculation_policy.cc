#include "engine/speculation_policy.h"

#include <algorithm>
#include <queue>
#include <tuple>

namespace weir::engine {
namespace {
// What an estimate must promise before it is acted upon: chances and costs are measured, and a
// wrong yes costs more than a wrong no.
constexpr double kLeastGain = 1.03;
}  // namespace

std::vector<int32_t> choose_depths(int32_t step_tokens,
                                   std::span<const std::span<const double>> chances,
                                   int32_t max_drafts, const StepCost& cost) {
  std::vector<int32_t> depths(chances.size(), 0);
  std::vector<int32_t> best = depths;
  // The next draft of each sequence, the likeliest on top; of equals the oldest sequence.
  std::priority_queue<std::pair<double, int64_t>> next;
  for (size_t i = 0; i < chances.size(); ++i) {
    if (!chances[i].empty()) next.emplace(chances[i][0], -static_cast<int64_t>(i));
  }
  double progress = step_tokens;
  double best_speed = kLeastGain * progress / cost.of(step_tokens);
  for (int32_t drafts = 1; drafts <= max_drafts && !next.empty(); ++drafts) {
    const auto [chance, key] = next.top();
    next.pop();
    const auto i = static_cast<size_t>(-key);
    const auto depth = static_cast<size_t>(++depths[i]);
    if (depth < chances[i].size()) next.emplace(chances[i][depth], key);
    progress += chance;
    const double speed = progress / cost.of(step_tokens + drafts);
    if (speed <= best_speed) continue;
    best_speed = speed;
    best = depths;
  }
  return best;
}

int32_t choose_model_depth(int32_t step_tokens, std::span<const double> rates, int32_t max_depth,
                           double draft_ms, const StepCost& cost) {
  double progress = step_tokens;
  double best_speed = kLeastGain * progress / cost.of(step_tokens);
  int32_t best = 0;
  std::vector<double> chances(rates.size(), 1.0);
  for (int32_t depth = 1; depth <= max_depth; ++depth) {
    for (size_t i = 0; i < rates.size(); ++i) progress += chances[i] *= rates[i];
    const int32_t tokens = step_tokens + depth * static_cast<int32_t>(rates.size());
    const double speed = progress / (cost.of(tokens) + draft_ms * depth);
    if (speed <= best_speed) continue;
    best_speed = speed;
    best = depth;
  }
  return best;
}

}  // namespace weir::engine
