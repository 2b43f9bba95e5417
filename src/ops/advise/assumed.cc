#include "ops/advise/assumed.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace weir::ops {
namespace {

constexpr size_t kShown = 5;

size_t weight_of(const WalkStep& step, const std::vector<FieldWeight>& weights) {
  size_t most = 0;
  for (const FieldWeight& w : weights) {
    if (std::find(step.unknown.begin(), step.unknown.end(), w.path) != step.unknown.end())
      most = std::max(most, w.leaves);
  }
  return most;
}

}  // namespace

std::string assumed_text(const Advice& advice, const std::vector<Tree>& trees,
                         const std::vector<const IntakeField*>& missing, bool all) {
  std::vector<const WalkStep*> steps;
  for (const Walk& walk : advice.walks) {
    for (const WalkStep& step : walk.steps) {
      if (step.assumed) steps.push_back(&step);
    }
  }
  if (missing.empty() && steps.empty()) return "";
  const size_t shown = all ? steps.size() : std::min(steps.size(), kShown);
  std::string out = "Assumed, for want of an answer";
  if (shown < steps.size()) {
    const auto weights = field_weights(trees);
    std::stable_sort(steps.begin(), steps.end(), [&](const WalkStep* a, const WalkStep* b) {
      return weight_of(*a, weights) > weight_of(*b, weights);
    });
    out += fmt::format(" in {} steps, of which these {} could change most (-v: all)", steps.size(),
                       shown);
  }
  out += ":\n";
  for (const IntakeField* f : missing) out += fmt::format("  {} is not known\n", f->key.path);
  for (size_t i = 0; i < shown; ++i) {
    out += fmt::format("  {} → {} ({})\n", steps[i]->node->ask, steps[i]->answer,
                       fmt::join(steps[i]->unknown, ", "));
  }
  return out + "\n";
}

}  // namespace weir::ops
