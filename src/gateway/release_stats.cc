#include "gateway/release_stats.h"

namespace weir::gateway {

void ReleaseWindow::add(bool missed, int64_t now_s) {
  Slot& slot = slots_[static_cast<size_t>(now_s % kSeconds)];
  if (slot.second != now_s) slot = {now_s, {}};
  ++slot.counts.requests;
  if (missed) ++slot.counts.missed;
}

ReleaseWindow::Counts ReleaseWindow::last(int64_t window_s, int64_t now_s) const {
  Counts sum;
  for (int64_t s = now_s - window_s + 1; s <= now_s; ++s) {
    if (s < 0) continue;
    const Slot& slot = slots_[static_cast<size_t>(s % kSeconds)];
    if (slot.second != s) continue;
    sum.requests += slot.counts.requests;
    sum.missed += slot.counts.missed;
  }
  return sum;
}

}  // namespace weir::gateway
