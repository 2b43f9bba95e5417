// How the requests of each release went lately: what a rollout is judged by. One thread: the
// proxy's.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace weir::gateway {

// Counts of the last hour by the second.
class ReleaseWindow {
 public:
  static constexpr int64_t kSeconds = 3600;
  struct Counts {
    int64_t requests = 0;
    int64_t missed = 0;  // of these: no answer, or later than the model's SLO
  };

  void add(bool missed, int64_t now_s);
  // window_s: 1 to kSeconds.
  Counts last(int64_t window_s, int64_t now_s) const;

 private:
  struct Slot {
    int64_t second = -1;
    Counts counts;
  };
  std::array<Slot, kSeconds> slots_{};
};

// By release. Their number is that of the configuration.
using ReleaseStats = std::map<std::string, ReleaseWindow, std::less<>>;

}  // namespace weir::gateway
