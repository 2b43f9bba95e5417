#include "engine/stop_scanner.h"

#include <algorithm>

namespace weir::engine {

StopScanner::Output StopScanner::push(std::string_view piece) {
  if (stops_.empty()) return {std::string(piece), false};
  held_ += piece;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    Output out{held_.substr(0, first), true};
    held_.clear();
    return out;
  }
  // Keep the longest tail that starts a stop string.
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) {
        keep = n;
        break;
      }
    }
  }
  Output out{held_.substr(0, held_.size() - keep), false};
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopScanner::flush() { return std::exchange(held_, {}); }

}  // namespace weir::engine
