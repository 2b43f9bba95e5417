#include "gateway/route/failover.h"

#include <algorithm>

namespace weir::gateway {

namespace {

// What each tier takes of everything, first come first served; the sum may stay below 1.
TierShares fill(std::span<const double> health, double overprovisioning) {
  TierShares out{};
  double left = 1;
  for (size_t t = 0; t < kTiers; ++t) {
    out[t] = std::min(left, health[t] * overprovisioning);
    left -= out[t];
  }
  return out;
}

double sum_of(const TierShares& shares) {
  double sum = 0;
  for (const double s : shares) sum += s;
  return sum;
}

}  // namespace

size_t tier_of(const FailoverConfig& config, const FleetView& fleet, const Candidate& candidate) {
  const EndpointView& endpoint = fleet.endpoints[candidate.endpoint];
  size_t distance = 2;
  if (!config.locality || (fleet.home_zone != 0 && endpoint.zone == fleet.home_zone)) {
    distance = 0;
  } else if (fleet.home_region != 0 && endpoint.region == fleet.home_region) {
    distance = 1;
  }
  return size_t{std::min(uint32_t{candidate.priority}, kMaxPriorities - 1)} * 3 + distance;
}

void Failover::judge(Tier& tier, double health, int64_t now_ns) const {
  if (tier.trusted < 0 || health <= tier.trusted) {
    tier.trusted = health;
    tier.better = false;
    return;
  }
  if (!tier.better) {
    tier.better = true;
    tier.better_since = now_ns;
    tier.least = health;
  }
  tier.least = std::min(tier.least, health);
  if (now_ns - tier.better_since < config_.failback_ms * 1'000'000) return;
  tier.trusted = tier.least;
  tier.better = false;
}

void Failover::update(const FleetView& fleet, std::span<const Candidate> candidates,
                      int64_t now_ns) {
  std::array<double, kTiers> all{};
  std::array<double, kTiers> up{};
  double prefill = 0;
  int telling = 0;
  members_.clear();
  for (const Candidate& c : candidates) {
    const EndpointView& e = fleet.endpoints[c.endpoint];
    const size_t t = tier_of(config_, fleet, c);
    const double weight = c.weight * e.weight;
    members_.push_back({c.endpoint, static_cast<uint32_t>(t), weight, 1 / weight});
    all[t] += weight;
    if (!e.up) continue;
    up[t] += weight;
    prefill += e.prefill_tokens_per_s;
    telling += e.prefill_tokens_per_s > 0 ? 1 : 0;
  }
  for (Member& m : members_) {
    const double own = fleet.endpoints[m.endpoint].prefill_tokens_per_s;
    if (telling > 0 && own > 0) m.load_factor *= prefill / telling / own;
  }
  std::array<double, kTiers> health{};
  std::array<double, kTiers> trusted{};
  for (size_t t = 0; t < kTiers; ++t) {
    health[t] = all[t] > 0 ? up[t] / all[t] : 0;
    if (all[t] > 0) judge(tiers_[t], health[t], now_ns);
    trusted[t] = all[t] > 0 ? tiers_[t].trusted : 0;
  }
  shares_ = fill(trusted, config_.overprovisioning);
  // When no tier is trusted, what is up serves: a delay is no reason to refuse.
  if (sum_of(shares_) <= 0) shares_ = fill(health, config_.overprovisioning);
  const double sum = sum_of(shares_);
  for (double& s : shares_) s = sum > 0 ? s / sum : 0;
}

}  // namespace weir::gateway
