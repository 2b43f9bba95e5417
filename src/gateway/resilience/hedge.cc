#include "gateway/resilience/hedge.h"

#include <algorithm>
#include <cmath>

namespace weir::gateway {

namespace {

constexpr double kFirstNs = 1e5;  // upper end of the first bucket
const double kLogGrowth = std::log(1.08);
// Weights grow with time instead of shrinking; above this the sums are scaled down.
constexpr double kLargestScale = 1e60;

}  // namespace

double DecayingQuantile::scale(int64_t now_ns) const {
  const double half_lives = static_cast<double>(now_ns - origin_ns_) /
                            (static_cast<double>(std::max<int64_t>(half_life_ms_, 1)) * 1e6);
  return std::exp2(std::clamp(half_lives, -1000.0, 1000.0));
}

void DecayingQuantile::add(int64_t value_ns, int64_t now_ns) {
  double weight = scale(now_ns);
  if (weight > kLargestScale) {
    const double shrink = 1.0 / weight;
    for (double& bucket : buckets_) bucket *= shrink;
    total_ *= shrink;
    origin_ns_ = now_ns;
    weight = 1.0;
  }
  const double place = std::ceil(
      std::log(std::max(static_cast<double>(value_ns), kFirstNs) / kFirstNs) / kLogGrowth);
  buckets_[std::min(static_cast<size_t>(place), kBuckets - 1)] += weight;
  total_ += weight;
}

double DecayingQuantile::weight(int64_t now_ns) const { return total_ / scale(now_ns); }

std::optional<int64_t> DecayingQuantile::quantile_ns(double q) const {
  if (total_ <= 0) return std::nullopt;
  const double wanted = std::clamp(q, 0.0, 1.0) * total_;
  double below = 0;
  size_t last = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    if (buckets_[i] <= 0) continue;
    last = i;
    if (below + buckets_[i] >= wanted) break;
    below += buckets_[i];
  }
  // Within the bucket as if its samples lay evenly on the logarithmic scale.
  const double part = std::clamp((wanted - below) / buckets_[last], 0.0, 1.0);
  const double place = last == 0 ? 0.0 : static_cast<double>(last) - 1.0 + part;
  return static_cast<int64_t>(kFirstNs * std::exp(place * kLogGrowth));
}

std::string_view hedge_refusal_name(HedgeRefusal refusal) {
  constexpr std::array<std::string_view, 8> kNames = {"none",           "disabled", "first_byte",
                                                      "not_repeatable", "hedged",   "no_endpoint",
                                                      "capacity",       "budget"};
  return kNames[static_cast<size_t>(refusal)];
}

HedgePolicy::HedgePolicy(const HedgeConfig& config)
    : config_(config),
      times_(config.half_life_ms),
      budget_({.ratio = config.budget_ratio, .min_per_s = 0}) {}

std::optional<int64_t> HedgePolicy::delay_ns(int64_t now_ns) const {
  if (!config_.enabled || times_.weight(now_ns) < config_.min_samples) return std::nullopt;
  const auto late = times_.quantile_ns(config_.quantile);
  if (!late) return std::nullopt;
  return std::max(*late, config_.min_delay_ms * 1'000'000);
}

HedgeRefusal HedgePolicy::try_hedge(const HedgeCase& request, int64_t now_ns) {
  if (!config_.enabled) return HedgeRefusal::kDisabled;
  if (request.first_byte) return HedgeRefusal::kFirstByte;
  if (!request.repeatable) return HedgeRefusal::kNotRepeatable;
  if (request.hedged) return HedgeRefusal::kHedged;
  if (!request.other_endpoint) return HedgeRefusal::kNoEndpoint;
  if (request.utilization > config_.max_utilization) return HedgeRefusal::kCapacity;
  return budget_.withdraw(now_ns) ? HedgeRefusal::kNone : HedgeRefusal::kBudget;
}

}  // namespace weir::gateway
