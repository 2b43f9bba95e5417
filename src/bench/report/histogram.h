// A distribution in bounded memory: buckets that are linear within each octave and double from
// octave to octave (log-linear), as in HdrHistogram (Gil Tene, hdrhistogram.org). Any number of
// values, mergeable without loss, same answer in any order.
//
// With d significant digits an octave has S = 2^ceil(log2(10^d)) buckets, so a bucket is at most
// 10^-d of its value wide and quantile(), which answers the middle of a bucket, errs by at most
// half of that; values below kLowest share one bucket. Count, minimum, maximum and sum
// are kept beside the buckets. Memory: 8 bytes a bucket between the smallest and the largest that
// were hit; at most kOctaves * S, which is 296 KiB at 3 digits.
//
// A value; no thread safety of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::bench {

class Histogram {
 public:
  static constexpr int kMinDigits = 1;
  static constexpr int kMaxDigits = 4;
  // The tracked range: [2^-10, 2^27). In milliseconds: 1 us to 37 hours.
  static constexpr int kLowestExponent = -10;
  static constexpr int kOctaves = 37;
  static constexpr double kLowest = 0x1p-10;
  static constexpr double kHighest = 0x1p27;

  // Digits outside [kMinDigits, kMaxDigits] are moved to the nearest.
  explicit Histogram(int significant_digits = 3);

  // Values below kLowest (negative ones too) share one bucket, values from kHighest on the last;
  // NaN is not counted.
  void record(double value, int64_t count = 1);
  // Precondition: same digits. Bucket by bucket, so nothing is lost.
  void merge(const Histogram& other);

  int digits() const { return digits_; }
  int64_t count() const { return count_; }
  double min() const { return min_; }  // 0 when empty
  double max() const { return max_; }
  double sum() const { return sum_; }
  double mean() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }

  // The value of which a share q is at or below: rank ceil(q * count), q clamped to [0, 1].
  // Within [min, max]; 0 when empty.
  double quantile(double q) const;
  // Share of values at or below v, as far as buckets tell.
  double share_below(double v) const;

  // A non-empty bucket: its index and how many values it holds; ascending.
  struct Bucket {
    int32_t index = 0;
    int64_t count = 0;
  };
  std::vector<Bucket> buckets() const;
  // [from, to) of a bucket. Index 0 is everything below kLowest.
  std::pair<double, double> bounds(int32_t index) const;
  int32_t bucket_count() const { return 1 + kOctaves * sub_buckets_; }
  size_t memory_bytes() const { return counts_.capacity() * sizeof(int64_t); }

  // From what buckets(), min(), max() and sum() gave. Errors: kInvalidValue for digits, indices or
  // counts that no histogram gives.
  static Result<Histogram> restore(int digits, const std::vector<Bucket>& buckets, double min,
                                   double max, double sum);

  friend bool operator==(const Histogram& a, const Histogram& b);

 private:
  int32_t index_of(double value) const;
  int64_t& slot(int32_t index);

  int digits_;
  int32_t sub_buckets_;          // of an octave; a power of two
  int32_t first_ = 0;            // index of counts_[0]
  std::vector<int64_t> counts_;  // a contiguous run of buckets
  int64_t count_ = 0;
  double min_ = 0;
  double max_ = 0;
  double sum_ = 0;
};

}  // namespace weir::bench
