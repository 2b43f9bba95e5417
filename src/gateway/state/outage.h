// What may fail and goes on all the same, as an operator hears of it: once when it begins to fail,
// once when it has worked again for a while. A disk that is nearly full takes one write and refuses
// the next: each would else be a line in the log.
#pragma once

#include <cstdint>

namespace weir::gateway {

// One thread at a time. Time is passed in.
class Outage {
 public:
  // Without a failure, until an outage is over.
  static constexpr int64_t kQuietNs = 5'000'000'000;

  enum class News : uint8_t { kNone, kBegun, kOver };

  News note(bool works, int64_t now_ns) {
    if (!works) {
      failed_ns_ = now_ns;
      if (down_) return News::kNone;
      down_ = true;
      return News::kBegun;
    }
    if (!down_ || now_ns - failed_ns_ < kQuietNs) return News::kNone;
    down_ = false;
    return News::kOver;
  }

 private:
  bool down_ = false;
  int64_t failed_ns_ = 0;  // when it did last, while it is down
};

}  // namespace weir::gateway
