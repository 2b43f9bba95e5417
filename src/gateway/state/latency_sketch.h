// Quantiles of times within 1 %, in memory that does not grow with their number: counts in buckets
// whose bounds grow by 2 % (Masson, Rim and Lee, "DDSketch", VLDB 2019).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>

namespace weir::gateway {

// A value; milliseconds from 0.01 to 1e8, beyond is counted as these.
class LatencySketch {
 public:
  void add(double ms) {
    if (!std::isfinite(ms)) return;
    const double within = std::clamp(ms, kLeast, kMost);
    ++counts_[static_cast<int32_t>(std::floor(std::log(within / kLeast) / kStep))];
    ++count_;
  }
  void merge(const LatencySketch& other) {
    for (const auto& [bucket, n] : other.counts_) counts_[bucket] += n;
    count_ += other.count_;
  }
  int64_t count() const { return count_; }
  // share: 0 to 1. Nothing without values.
  std::optional<double> at(double share) const {
    if (count_ == 0) return std::nullopt;
    const auto wanted = static_cast<int64_t>(share * static_cast<double>(count_ - 1));
    int64_t below = 0;
    for (const auto& [bucket, n] : counts_) {
      below += n;
      if (below > wanted) return kLeast * std::exp((bucket + 0.5) * kStep);
    }
    return kMost;
  }

 private:
  static constexpr double kLeast = 0.01, kMost = 1e8;
  static constexpr double kStep = 0.0198026273;  // ln 1.02
  std::map<int32_t, int64_t> counts_;            // at most 1,163
  int64_t count_ = 0;
};

}  // namespace weir::gateway
