// How much was taken in the last minute. Pure: time is passed in.
//
// Counts lie in slots of a second, each with the time at which was last taken from it. A slot
// leaves the window 60 s after that, so in no window of 60 s, wherever it begins, is more taken
// than the limit, and nobody has to wait for longer than 60 s. (A token bucket lets twice as much
// pass in the minute after a pause.) The price: an amount is held for up to a second more than a
// minute where others were taken in its second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::access {

// One thread.
class RateWindow {
 public:
  static constexpr int64_t kNever = -1;

  // limit: per minute; 0: none. What was taken before stays counted.
  void set_limit(int64_t limit) { limit_ = limit; }
  int64_t limit() const { return limit_; }

  // Nanoseconds until `amount` fits if nothing else is taken: 0 now, kNever beyond the limit.
  int64_t wait_ns(int64_t amount, int64_t now_ns);
  // Takes it, whether it fits or not. The slot is what give_back wants.
  int64_t take(int64_t amount, int64_t now_ns);
  // Undoes a part of what was taken; nothing when that second has left the window by itself.
  void give_back(int64_t slot, int64_t amount, int64_t now_ns);

  int64_t remaining(int64_t now_ns);  // 0 without a limit
  // Until all that was taken has left the window.
  int64_t reset_ns(int64_t now_ns);

 private:
  struct Slot {
    int64_t amount = 0;
    int64_t last_ns = 0;  // taken
  };
  static constexpr int64_t kSlots = 61;  // that any 60 s touch
  static constexpr int64_t kSlotNs = 1'000'000'000;
  static constexpr int64_t kWindowNs = 60 * kSlotNs;
  Slot& at(int64_t slot) { return slots_[static_cast<size_t>(slot % kSlots)]; }
  void clear(Slot& slot);
  void advance(int64_t now_ns);

  int64_t limit_ = 0;
  int64_t newest_ = 0;  // slot of the latest time seen
  int64_t used_ = 0;    // sum of slots_
  std::array<Slot, kSlots> slots_{};
};

}  // namespace weir::access
