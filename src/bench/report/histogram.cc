#include "bench/report/histogram.h"

#include <algorithm>
#include <cmath>

namespace weir::bench {
namespace {

int32_t octave_buckets(int digits) {
  // 2^ceil(log2(10^digits)): 16, 128, 1024, 16384.
  constexpr int32_t kBuckets[] = {16, 128, 1024, 16384};
  return kBuckets[digits - 1];
}

}  // namespace

Histogram::Histogram(int significant_digits)
    : digits_(std::clamp(significant_digits, kMinDigits, kMaxDigits)),
      sub_buckets_(octave_buckets(digits_)) {}

int32_t Histogram::index_of(double value) const {
  if (value < kLowest) return 0;
  if (value >= kHighest) return bucket_count() - 1;
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);  // [0.5, 1)
  const int32_t octave = exponent - 1 - kLowestExponent;
  const auto sub = static_cast<int32_t>((mantissa * 2 - 1) * sub_buckets_);
  return 1 + octave * sub_buckets_ + sub;
}

std::pair<double, double> Histogram::bounds(int32_t index) const {
  if (index <= 0) return {0, kLowest};
  const int32_t octave = (index - 1) / sub_buckets_;
  const int32_t sub = (index - 1) % sub_buckets_;
  const double base = std::ldexp(1.0, kLowestExponent + octave);
  const double width = base / sub_buckets_;
  return {base + width * sub, base + width * (sub + 1)};
}

int64_t& Histogram::slot(int32_t index) {
  if (counts_.empty()) {
    first_ = index;
    counts_.push_back(0);
  } else if (index < first_) {
    counts_.insert(counts_.begin(), static_cast<size_t>(first_ - index), 0);
    first_ = index;
  } else if (index >= first_ + static_cast<int32_t>(counts_.size())) {
    counts_.resize(static_cast<size_t>(index - first_) + 1);
  }
  return counts_[static_cast<size_t>(index - first_)];
}

void Histogram::record(double value, int64_t count) {
  if (std::isnan(value) || count < 1) return;
  slot(index_of(value)) += count;
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = count_ == 0 ? value : std::max(max_, value);
  sum_ += value * static_cast<double>(count);
  count_ += count;
}

void Histogram::merge(const Histogram& other) {
  if (other.count_ == 0) return;
  for (const Bucket& b : other.buckets()) slot(b.index) += b.count;
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = count_ == 0 ? other.max_ : std::max(max_, other.max_);
  sum_ += other.sum_;
  count_ += other.count_;
}

double Histogram::quantile(double q) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(q, 0.0, 1.0);
  const auto rank = std::max<int64_t>(
      1, static_cast<int64_t>(std::ceil(share * static_cast<double>(count_) - 1e-9)));
  if (rank >= count_) return max_;
  int64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen < rank) continue;
    const auto [from, to] = bounds(first_ + static_cast<int32_t>(i));
    return std::clamp((from + to) / 2, min_, max_);
  }
  return max_;
}

double Histogram::share_below(double v) const {
  if (count_ == 0 || std::isnan(v)) return 0;
  const int32_t last = index_of(v);
  int64_t seen = 0;
  for (size_t i = 0; i < counts_.size() && first_ + static_cast<int32_t>(i) <= last; ++i)
    seen += counts_[i];
  return static_cast<double>(seen) / static_cast<double>(count_);
}

std::vector<Histogram::Bucket> Histogram::buckets() const {
  std::vector<Bucket> out;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] > 0) out.push_back({first_ + static_cast<int32_t>(i), counts_[i]});
  }
  return out;
}

Result<Histogram> Histogram::restore(int digits, const std::vector<Bucket>& buckets, double min,
                                     double max, double sum) {
  if (digits < kMinDigits || digits > kMaxDigits) {
    return make_error(ErrorCode::kInvalidValue, "digits must be {} to {}, not {}", kMinDigits,
                      kMaxDigits, digits);
  }
  Histogram h(digits);
  if (!std::isfinite(min) || !std::isfinite(max) || !std::isfinite(sum) || min > max)
    return make_error(ErrorCode::kInvalidValue, "min, max and sum must be finite, and min <= max");
  constexpr int64_t kMaxCount = int64_t{1} << 53;
  int32_t previous = -1;
  for (const Bucket& b : buckets) {
    if (b.index <= previous || b.index >= h.bucket_count()) {
      return make_error(ErrorCode::kInvalidValue, "bucket {} is not between {} and {}", b.index,
                        previous + 1, h.bucket_count() - 1);
    }
    if (b.count < 1 || b.count > kMaxCount - h.count_)
      return make_error(ErrorCode::kInvalidValue, "bucket {} counts {}", b.index, b.count);
    h.slot(b.index) += b.count;
    h.count_ += b.count;
    previous = b.index;
  }
  if (buckets.empty()) return h;
  if (h.index_of(min) != buckets.front().index || h.index_of(max) != buckets.back().index)
    return make_error(ErrorCode::kInvalidValue, "min and max are not of the first and last bucket");
  h.min_ = min;
  h.max_ = max;
  h.sum_ = sum;
  return h;
}

bool operator==(const Histogram& a, const Histogram& b) {
  const auto same = [](const Histogram::Bucket& x, const Histogram::Bucket& y) {
    return x.index == y.index && x.count == y.count;
  };
  const auto x = a.buckets();
  const auto y = b.buckets();
  return a.digits_ == b.digits_ && a.count_ == b.count_ && a.min_ == b.min_ && a.max_ == b.max_ &&
         a.sum_ == b.sum_ && std::equal(x.begin(), x.end(), y.begin(), y.end(), same);
}

}  // namespace weir::bench
