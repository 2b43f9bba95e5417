// Resampling of requests and the intervals that come of it. Internal to bench/.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/report/summary.h"

namespace weir::bench {

// Draws replicates of n units: how often each takes part. Circular blocks; replicate r of a seed is
// always the same.
class Resampler {
 public:
  // block < 1: ceil(n^(1/3)).
  Resampler(size_t units, int32_t block, uint64_t seed);
  void draw(uint64_t replicate, std::vector<uint32_t>& weights) const;
  // Blocks in a replicate: what the interval's degrees of freedom come from.
  size_t blocks() const { return (units_ + block_ - 1) / block_; }

 private:
  size_t units_;
  size_t block_;
  uint64_t seed_;
};

// Values, each of a unit (a request), ready for weighted quantiles.
class Sample {
 public:
  static constexpr size_t kMaxValues = size_t{1} << 18;  // in intervals; all count in the estimates

  void add(double value, size_t unit);
  // After the last add, before anything else.
  void seal();
  bool empty() const { return values_.empty(); }

  // All but the intervals.
  void describe(Distribution& out) const;
  // Mean, then kQuantiles, of the sample in which each value counts as often as its unit's weight.
  // NaN when nothing has weight.
  using Statistics = std::array<double, 1 + kQuantiles.size()>;
  Statistics weighted(std::span<const uint32_t> weights) const;
  // Distinct units with a value above v, counted to at most `enough`.
  int32_t units_above(double v, int32_t enough) const;

 private:
  struct Item {
    float value;
    uint32_t unit;
  };
  std::vector<Item> values_;   // ascending once sealed
  std::vector<Item> thinned_;  // every k-th; empty when all take part
};

// A named sample whose intervals go into `out`.
struct EstimateTarget {
  Sample sample;
  Distribution* out = nullptr;
};

// Fills every target's estimates and intervals from the same replicates.
void estimate(std::vector<EstimateTarget>& targets, size_t units, const SummaryOptions& options);

// The mean of a series times `scale`, with its interval by the circular block bootstrap over bins.
Estimate estimate_mean(std::span<const double> bins, double scale, const SummaryOptions& options);

// Share k/n with Wilson's interval (Wilson 1927); unknown when n is 0.
Estimate estimate_share(int64_t k, int64_t n);

// low, high and log_se of an estimate from its replicates of so many blocks (any order; NaN are
// left out). The plain percentiles 2.5 and 97.5 are too narrow for few blocks; these are moved to
// those of Student's t with blocks - 1 degrees of freedom ("expanded percentile interval",
// Hesterberg, The American Statistician 69, 2015).
void set_interval(Estimate& estimate, std::vector<double> replicates, size_t blocks);

}  // namespace weir::bench
