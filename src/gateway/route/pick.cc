#include "gateway/route/pick.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gateway/route/mix.h"

namespace weir::gateway {

namespace {

constexpr std::array<std::pair<PickPolicy, std::string_view>, 5> kNames = {{
    {PickPolicy::kRoundRobin, "round_robin"},
    {PickPolicy::kRandomTwo, "random_two"},
    {PickPolicy::kLeastLoaded, "least_loaded"},
    {PickPolicy::kCacheAware, "cache_aware"},
    {PickPolicy::kSessionAffinity, "session_affinity"},
}};

bool fresh(const PickConfig& config, const EndpointView& e) {
  return e.signals_age_ms >= 0 && e.signals_age_ms <= config.max_signal_age_ms;
}

// Lower comes first; equal ones by the draw.
struct Rank {
  uint32_t group = UINT32_MAX;  // not full and near before far and full
  double cost = 0;
  uint64_t tie = 0;

  bool operator<(const Rank& o) const {
    if (group != o.group) return group < o.group;
    if (cost != o.cost) return cost < o.cost;
    return tie < o.tie;
  }
};

// What one pass over the candidates finds.
struct Survey {
  uint32_t first_group = UINT32_MAX;                          // the best that has anything
  size_t members = 0;                                         // of first_group
  double weight = 0;                                          // of first_group
  double min_load = std::numeric_limits<double>::infinity();  // of first_group
  double all_weight = 0;                                      // of all that are up
  int64_t all_in_flight = 0;
  double mean_prefill = 0;  // of those that tell it; 0: none does
};

// A member of the first group, by its number there.
struct Place {
  size_t place = SIZE_MAX;
  double weight = 0;
};

class Picker {
 public:
  Picker(const PickConfig& config, const PickInput& input) : config_(config), in_(input) {
    first_tier_ = draw_tier();
    if (config.policy == PickPolicy::kSessionAffinity && !input.request.session.empty()) {
      const auto bytes = std::as_bytes(std::span(input.request.session));
      session_ = keyed_hash(config.session_key, bytes).low;
      affine_ = true;
    }
  }

  Attempts run() {
    survey();
    choose_places();
    Attempts out;
    const size_t limit = std::clamp<size_t>(config_.attempts, 1, kMaxAttempts);
    std::array<Rank, kMaxAttempts> ranks;
    size_t place = 0;  // among first_group
    for (const uint32_t i : in_.candidates) {
      const EndpointView& e = in_.fleet.endpoints[i];
      if (!e.up) continue;
      Rank rank{group_of(e), 0, mix64(in_.draw ^ e.identity ^ (uint64_t{i} << 40))};
      const bool first = rank.group == survey_.first_group;
      rank.cost = first ? cost_of(i, e, place) : spread(e);
      if (comes_later(e, first, place)) ++rank.group;
      place += first ? 1 : 0;
      insert(out, ranks, limit, i, rank);
    }
    return out;
  }

 private:
  // Tiers in the order in which they are tried: the drawn one, then the others.
  size_t draw_tier() const {
    const TierShares& shares = in_.failover.shares();
    double at = unit_of(mix64(in_.draw));
    size_t last = 0;
    for (size_t t = 0; t < kTiers; ++t) {
      if (shares[t] <= 0) continue;
      last = t;
      at -= shares[t];
      if (at < 0) break;
    }
    return last;
  }

  // Even; the odd one above it is for those that comes_later() names.
  uint32_t group_of(const EndpointView& e) const {
    const size_t tier = tier_of(in_.failover.config(), in_.fleet, e);
    const size_t order = tier == first_tier_ ? 0 : tier + 1;
    return static_cast<uint32_t>((is_full(config_, e) ? kTiers + 1 : 0) + order) * 2;
  }

  // Load as a fraction of what the endpoint is worth.
  double spread(const EndpointView& e) const {
    double worth = e.weight;
    if (survey_.mean_prefill > 0 && e.prefill_tokens_per_s > 0)
      worth *= e.prefill_tokens_per_s / survey_.mean_prefill;
    return load_tokens(config_, e) / worth;
  }

  void survey() {
    double prefill = 0;
    size_t telling = 0;
    for (const uint32_t i : in_.candidates) {
      const EndpointView& e = in_.fleet.endpoints[i];
      if (!e.up || e.prefill_tokens_per_s <= 0) continue;
      prefill += e.prefill_tokens_per_s;
      ++telling;
    }
    survey_.mean_prefill = telling > 0 ? prefill / static_cast<double>(telling) : 0;
    for (const uint32_t i : in_.candidates) {
      const EndpointView& e = in_.fleet.endpoints[i];
      if (!e.up) continue;
      survey_.all_weight += e.weight;
      survey_.all_in_flight += e.in_flight;
      const uint32_t group = group_of(e);
      if (group > survey_.first_group) continue;
      if (group < survey_.first_group) {
        survey_.first_group = group;
        survey_.members = 0;
        survey_.weight = 0;
        survey_.min_load = std::numeric_limits<double>::infinity();
      }
      ++survey_.members;
      survey_.weight += e.weight;
      survey_.min_load = std::min(survey_.min_load, spread(e));
    }
  }

  // Of the first group without one member: who is at a point of the weights laid end to end,
  // 0 <= point < 1.
  Place place_at(double point, const Place& without = {}) const {
    double at = point * (survey_.weight - without.weight);
    size_t place = 0;
    Place found;
    for (const uint32_t i : in_.candidates) {
      const EndpointView& e = in_.fleet.endpoints[i];
      if (!e.up || group_of(e) != survey_.first_group) continue;
      if (place != without.place) {
        found = {place, e.weight};
        at -= e.weight;
        if (at < 0) break;
      }
      ++place;
    }
    return found;
  }

  void choose_places() {
    if (survey_.members == 0) return;
    if (config_.policy == PickPolicy::kRoundRobin) {
      // Multiples of the golden ratio fill the unit interval as evenly as a sequence without end
      // can, so every stretch of turns has each endpoint close to its share.
      first_place_ = equal_weights() ? static_cast<size_t>(in_.turn % survey_.members)
                                     : place_at(unit_of(in_.turn * 0x9E3779B97F4A7C15)).place;
    } else if (config_.policy == PickPolicy::kRandomTwo) {
      const Place first = place_at(unit_of(mix64(in_.draw + 1)));
      first_place_ = first.place;
      second_place_ = place_at(unit_of(mix64(in_.draw + 2)), first).place;
    }
  }

  bool equal_weights() const {
    const double mean = survey_.weight / static_cast<double>(survey_.members);
    return std::all_of(in_.candidates.begin(), in_.candidates.end(), [&](uint32_t i) {
      const EndpointView& e = in_.fleet.endpoints[i];
      return !e.up || group_of(e) != survey_.first_group || std::abs(e.weight - mean) < 1e-9 * mean;
    });
  }

  // Behind the others of its group: who was not drawn, or has its share of the load.
  bool comes_later(const EndpointView& e, bool first, size_t place) const {
    if (config_.policy == PickPolicy::kRandomTwo)
      return first && place != first_place_ && place != second_place_;
    return affine_ && over_bound(e);
  }

  // Cost of a member of the first group.
  double cost_of(uint32_t index, const EndpointView& e, size_t place) const {
    switch (config_.policy) {
      case PickPolicy::kRoundRobin:
        return static_cast<double>((place + survey_.members - first_place_) % survey_.members);
      case PickPolicy::kRandomTwo:
      case PickPolicy::kLeastLoaded:
        return spread(e);
      case PickPolicy::kCacheAware:
        return -score(index, e);
      case PickPolicy::kSessionAffinity:
        // Weighted rendezvous hashing (Thaler and Ravishankar 1998, in the logarithmic form): the
        // least -ln(u) / weight falls on each endpoint in proportion to its weight.
        return affine_ ? -std::log(unit_of(mix64(session_ ^ mix64(e.identity)))) / e.weight
                       : spread(e);
    }
    return 0;
  }

  double score(uint32_t index, const EndpointView& e) const {
    const auto own = static_cast<double>(std::max<int64_t>(in_.request.input_tokens, 1));
    const double matched = index < in_.matched_tokens.size() ? in_.matched_tokens[index] : 0;
    return std::min(matched / own, 1.0) - config_.beta * (spread(e) - survey_.min_load) / own;
  }

  // Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, SODA 2018): no
  // endpoint takes more than session_bound times its share of what is in flight.
  bool over_bound(const EndpointView& e) const {
    const auto total = static_cast<double>(survey_.all_in_flight + 1);
    return e.in_flight + 1 >
           std::ceil(config_.session_bound * total * e.weight / survey_.all_weight);
  }

  static void insert(Attempts& out, std::array<Rank, kMaxAttempts>& ranks, size_t limit,
                     uint32_t index, const Rank& rank) {
    size_t at = out.count;
    while (at > 0 && rank < ranks[at - 1]) --at;
    if (at == limit) return;
    out.count = std::min(out.count + 1, limit);
    for (size_t k = out.count - 1; k > at; --k) {
      ranks[k] = ranks[k - 1];
      out.endpoint[k] = out.endpoint[k - 1];
    }
    ranks[at] = rank;
    out.endpoint[at] = index;
  }

  const PickConfig& config_;
  const PickInput& in_;
  size_t first_tier_ = 0;
  uint64_t session_ = 0;
  bool affine_ = false;
  Survey survey_;
  size_t first_place_ = 0;
  size_t second_place_ = 0;
};

}  // namespace

std::string_view pick_policy_name(PickPolicy policy) {
  for (const auto& [p, name] : kNames) {
    if (p == policy) return name;
  }
  return "";
}

std::optional<PickPolicy> pick_policy_of(std::string_view name) {
  for (const auto& [p, n] : kNames) {
    if (n == name) return p;
  }
  return std::nullopt;
}

double load_tokens(const PickConfig& config, const EndpointView& e) {
  double queued = static_cast<double>(e.queued_tokens);
  if (fresh(config, e)) queued = std::max(queued, e.waiting * config.waiting_tokens);
  return queued + e.in_flight * config.stream_tokens;
}

bool is_full(const PickConfig& config, const EndpointView& e) {
  if (e.max_in_flight > 0 && e.in_flight >= e.max_in_flight) return true;
  return fresh(config, e) && e.waiting > 0 && e.kv_usage >= config.full_kv_usage;
}

Attempts route(const PickConfig& config, const PickInput& input) {
  return Picker(config, input).run();
}

}  // namespace weir::gateway
