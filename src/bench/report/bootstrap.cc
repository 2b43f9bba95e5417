#include "bench/report/bootstrap.h"

#include <algorithm>
#include <cmath>

#include "base/quantile.h"
#include "base/rng.h"
#include "base/student.h"

namespace weir::bench {
namespace {

// The stream of random numbers that replicates of requests draw from, and that of bins.
constexpr uint64_t kRequestStream = uint64_t{1} << 32;
constexpr uint64_t kMaxReplicates = 10'000;
// Requests above a quantile below which the sample gives it no upper bound (summary.h).
constexpr int32_t kUnitsForBound = 4;
constexpr double kNormal95 = 1.959964;

}  // namespace

Resampler::Resampler(size_t units, int32_t block, uint64_t seed)
    : units_(units),
      block_(block > 0 ? static_cast<size_t>(block)
                       : static_cast<size_t>(std::ceil(std::cbrt(static_cast<double>(units))))),
      seed_(seed) {
  block_ = std::max<size_t>(1, std::min(block_, units_));
}

void Resampler::draw(uint64_t replicate, std::vector<uint32_t>& weights) const {
  weights.assign(units_, 0);
  Rng rng(seed_, kRequestStream + replicate);
  for (size_t left = units_; left > 0;) {
    const size_t start = rng.below(units_);
    const size_t length = std::min(block_, left);
    for (size_t i = 0; i < length; ++i) {
      const size_t at = start + i;
      ++weights[at < units_ ? at : at - units_];
    }
    left -= length;
  }
}

void Sample::add(double value, size_t unit) {
  if (std::isfinite(value))
    values_.push_back({static_cast<float>(value), static_cast<uint32_t>(unit)});
}

void Sample::seal() {
  std::sort(values_.begin(), values_.end(),
            [](const Item& a, const Item& b) { return a.value < b.value; });
  if (values_.size() <= kMaxValues) return;
  const size_t step = (values_.size() + kMaxValues - 1) / kMaxValues;
  for (size_t i = step / 2; i < values_.size(); i += step) thinned_.push_back(values_[i]);
}

void Sample::describe(Distribution& out) const {
  out.count = static_cast<int64_t>(values_.size());
  if (values_.empty()) return;
  out.min = static_cast<double>(values_.front().value);
  out.max = static_cast<double>(values_.back().value);
  double sum = 0;
  for (const Item& v : values_) {
    sum += static_cast<double>(v.value);
    out.histogram.record(static_cast<double>(v.value));
  }
  const double mean = sum / static_cast<double>(values_.size());
  double squares = 0;
  for (const Item& v : values_) {
    const double d = static_cast<double>(v.value) - mean;
    squares += d * d;
  }
  out.mean.value = mean;
  out.stddev = std::sqrt(squares / static_cast<double>(values_.size()));
  for (size_t q = 0; q < kQuantiles.size(); ++q) {
    const double at = kQuantiles[q] * static_cast<double>(values_.size() - 1);
    const auto low = static_cast<size_t>(at);
    const size_t high = std::min(low + 1, values_.size() - 1);
    const auto a = static_cast<double>(values_[low].value);
    out.quantiles[q].value =
        a + (at - static_cast<double>(low)) * (static_cast<double>(values_[high].value) - a);
  }
}

Sample::Statistics Sample::weighted(std::span<const uint32_t> weights) const {
  const std::vector<Item>& items = thinned_.empty() ? values_ : thinned_;
  Statistics out;
  out.fill(kUnknown);
  uint64_t total = 0;
  double sum = 0;
  for (const Item& v : items) {
    const uint32_t w = weights[v.unit];
    total += w;
    sum += static_cast<double>(w) * static_cast<double>(v.value);
  }
  if (total == 0) return out;
  out[0] = sum / static_cast<double>(total);
  // One walk: rank low of each quantile, then the next value with weight for the interpolation.
  uint64_t seen = 0;
  size_t i = 0;
  for (size_t q = 0; q < kQuantiles.size(); ++q) {
    const double at = kQuantiles[q] * static_cast<double>(total - 1);
    const auto low = static_cast<uint64_t>(at);
    while (i < items.size() && seen + weights[items[i].unit] <= low)
      seen += weights[items[i++].unit];
    const auto a = static_cast<double>(items[i].value);
    double b = a;
    if (seen + weights[items[i].unit] <= low + 1) {
      size_t next = i + 1;
      while (next < items.size() && weights[items[next].unit] == 0) ++next;
      if (next < items.size()) b = static_cast<double>(items[next].value);
    }
    out[1 + q] = a + (at - static_cast<double>(low)) * (b - a);
  }
  return out;
}

int32_t Sample::units_above(double v, int32_t enough) const {
  std::vector<uint32_t> seen;
  for (size_t i = values_.size(); i-- > 0 && static_cast<double>(values_[i].value) >= v;) {
    if (static_cast<int32_t>(seen.size()) >= enough) break;
    if (std::find(seen.begin(), seen.end(), values_[i].unit) == seen.end())
      seen.push_back(values_[i].unit);
  }
  return static_cast<int32_t>(seen.size());
}

void set_interval(Estimate& e, std::vector<double> replicates, size_t blocks) {
  std::erase_if(replicates, [](double v) { return !std::isfinite(v); });
  if (replicates.size() < 20 || blocks < 2) return;  // fewer give no 2.5 % tail
  const auto m = static_cast<double>(blocks);
  const double z = student_95(m - 1) * std::sqrt(m / (m - 1));
  const double tail = normal_cdf(-z);
  std::sort(replicates.begin(), replicates.end());
  e.low = std::min(e.value, sorted_quantile(std::span<const double>(replicates), tail));
  e.high = std::max(e.value, sorted_quantile(std::span<const double>(replicates), 1 - tail));
  if (replicates.front() <= 0) return;
  double sum = 0;
  double squares = 0;
  for (const double v : replicates) {
    const double log_ratio = std::log(v / e.value);
    sum += log_ratio;
    squares += log_ratio * log_ratio;
  }
  const auto n = static_cast<double>(replicates.size());
  e.log_se = std::sqrt(std::max(0.0, squares / n - (sum / n) * (sum / n))) * z / kNormal95;
}

void estimate(std::vector<EstimateTarget>& targets, size_t units, const SummaryOptions& options) {
  for (EstimateTarget& t : targets) t.sample.describe(*t.out);
  if (options.replicates < 1 || units < 2) return;
  const auto replicates =
      std::min<uint64_t>(static_cast<uint64_t>(options.replicates), kMaxReplicates);
  constexpr size_t kStatistics = std::tuple_size_v<Sample::Statistics>;
  std::vector<std::vector<double>> drawn(targets.size() * kStatistics);
  const Resampler resampler(units, options.block, options.seed);
  std::vector<uint32_t> weights;
  for (uint64_t r = 0; r < replicates; ++r) {
    resampler.draw(r, weights);
    for (size_t t = 0; t < targets.size(); ++t) {
      if (targets[t].sample.empty()) continue;
      const Sample::Statistics s = targets[t].sample.weighted(weights);
      for (size_t k = 0; k < kStatistics; ++k) drawn[t * kStatistics + k].push_back(s[k]);
    }
  }
  for (size_t t = 0; t < targets.size(); ++t) {
    Distribution& d = *targets[t].out;
    if (d.count == 0) continue;
    set_interval(d.mean, std::move(drawn[t * kStatistics]), resampler.blocks());
    for (size_t q = 0; q < kQuantiles.size(); ++q) {
      Estimate& e = d.quantiles[q];
      set_interval(e, std::move(drawn[t * kStatistics + 1 + q]), resampler.blocks());
      if (targets[t].sample.units_above(e.value, kUnitsForBound) < kUnitsForBound)
        e.high = kUnknown;
    }
  }
}

Estimate estimate_mean(std::span<const double> bins, double scale, const SummaryOptions& options) {
  Estimate e;
  if (bins.empty()) return e;
  double sum = 0;
  for (const double b : bins) sum += b;
  e.value = sum / static_cast<double>(bins.size()) * scale;
  if (options.replicates < 1 || bins.size() < 8) return e;
  const auto replicates =
      std::min<uint64_t>(static_cast<uint64_t>(options.replicates), kMaxReplicates);
  const Resampler resampler(bins.size(), 0, options.seed);
  std::vector<uint32_t> weights;
  std::vector<double> drawn;
  for (uint64_t r = 0; r < replicates; ++r) {
    resampler.draw(r, weights);
    double total = 0;
    for (size_t i = 0; i < bins.size(); ++i) total += bins[i] * weights[i];
    drawn.push_back(total / static_cast<double>(bins.size()) * scale);
  }
  set_interval(e, std::move(drawn), resampler.blocks());
  return e;
}

Estimate estimate_share(int64_t k, int64_t n) {
  Estimate e;
  if (n < 1) return e;
  constexpr double z = kNormal95;
  const auto trials = static_cast<double>(n);
  const double p = static_cast<double>(k) / trials;
  const double centre = (p + z * z / (2 * trials)) / (1 + z * z / trials);
  const double half =
      z / (1 + z * z / trials) * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  e.value = p;
  e.low = std::max(0.0, std::min(p, centre - half));
  e.high = std::min(1.0, std::max(p, centre + half));
  if (p > 0) e.log_se = std::sqrt((1 - p) / (trials * p));
  return e;
}

}  // namespace weir::bench
