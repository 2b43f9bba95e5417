#include "access/rate_window.h"

#include <algorithm>

namespace weir::access {

void RateWindow::clear(Slot& slot) {
  used_ -= slot.amount;
  slot.amount = 0;
}

// Of the slots that are kept only the oldest can have left the window.
void RateWindow::advance(int64_t now_ns) {
  const int64_t slot = std::max(newest_, now_ns / kSlotNs);
  for (int64_t s = std::max(newest_, slot - kSlots) + 1; s <= slot; ++s) clear(at(s));
  newest_ = slot;
  if (Slot& oldest = at(slot + 1); oldest.last_ns + kWindowNs <= now_ns) clear(oldest);
}

int64_t RateWindow::wait_ns(int64_t amount, int64_t now_ns) {
  if (limit_ == 0) return 0;
  if (amount > limit_) return kNever;
  advance(now_ns);
  int64_t over = used_ + amount - limit_;
  for (int64_t s = std::max(newest_ - kSlots + 1, int64_t{0}); over > 0 && s <= newest_; ++s) {
    over -= at(s).amount;
    if (over <= 0) return at(s).last_ns + kWindowNs - now_ns;
  }
  return 0;
}

int64_t RateWindow::take(int64_t amount, int64_t now_ns) {
  advance(now_ns);
  Slot& slot = at(newest_);
  slot.amount += amount;
  slot.last_ns = std::max(slot.last_ns, now_ns);
  used_ += amount;
  return newest_;
}

void RateWindow::give_back(int64_t slot, int64_t amount, int64_t now_ns) {
  advance(now_ns);
  if (slot <= newest_ - kSlots || slot > newest_) return;
  const int64_t part = std::min(amount, at(slot).amount);
  at(slot).amount -= part;
  used_ -= part;
}

int64_t RateWindow::remaining(int64_t now_ns) {
  advance(now_ns);
  return std::max<int64_t>(0, limit_ - used_);
}

int64_t RateWindow::reset_ns(int64_t now_ns) {
  advance(now_ns);
  for (int64_t s = newest_; s > newest_ - kSlots && s >= 0; --s) {
    if (at(s).amount > 0) return at(s).last_ns + kWindowNs - now_ns;
  }
  return 0;
}

}  // namespace weir::access
