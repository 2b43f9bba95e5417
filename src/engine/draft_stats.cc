#include "engine/draft_stats.h"

#include <algorithm>

namespace weir::engine {

void DraftModelRecord::judge(std::span<const int32_t> tokens) {
  constexpr double kWindow = 64;
  bool right = true;
  for (size_t i = 0; right && i < drafts.size() && at + i < tokens.size(); ++i) {
    right = drafts[i] == tokens[at + i];
    const double keep = trials < kWindow ? 1.0 : 1.0 - 1.0 / kWindow;
    hits = hits * keep + (right ? 1.0 : 0.0);
    trials = trials * keep + 1.0;
  }
  drafts.clear();
}

// Two thirds before anything is known: models of one family agree on most tokens.
double DraftModelRecord::rate() const { return (hits + 4.0) / (trials + 6.0); }

size_t DraftStats::class_of(int32_t run, bool resumed) {
  if (resumed && run <= kResumedRuns)
    return kRunClasses + static_cast<size_t>(std::max<int32_t>(run, 0));
  constexpr std::array<int32_t, kRunClasses> kLongest = {1, 2, 3, 5, 8, 12, 20, INT32_MAX};
  return static_cast<size_t>(std::lower_bound(kLongest.begin(), kLongest.end(), run) -
                             kLongest.begin());
}

void DraftStats::add(size_t c, bool right, double window) {
  const double keep = trials_[c] < window ? 1.0 : 1.0 - 1.0 / window;
  hits_[c] = hits_[c] * keep + (right ? 1.0 : 0.0);
  trials_[c] = trials_[c] * keep + 1.0;
}

}  // namespace weir::engine
