#include "gateway/route/pick.h"

#include <algorithm>
#include <cmath>

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
  uint32_t group = UINT32_MAX;
  double cost = 0;
  uint64_t tie = 0;

  bool operator<(const Rank& o) const {
    if (group != o.group) return group < o.group;
    if (cost != o.cost) return cost < o.cost;
    return tie < o.tie;
  }
};

// A member of the first group, by its number there.
struct Place {
  size_t place = SIZE_MAX;
  double weight = 0;
};

}  // namespace

class Picker {
 public:
  Picker(const PickConfig& config, const PickInput& input, PickScratch& scratch)
      : config_(config), in_(input), entries_(scratch.entries_) {
    if (config.policy == PickPolicy::kSessionAffinity && !input.request.session.empty()) {
      const auto bytes = std::as_bytes(std::span(input.request.session));
      session_ = keyed_hash(config.session_key, bytes).low;
      affine_ = true;
    }
    limit_ = std::clamp<size_t>(config.attempts, 1, kMaxAttempts);
    per_own_token_ = 1 / static_cast<double>(std::max<int64_t>(input.request.input_tokens, 1));
  }

  Attempts run() {
    survey();
    choose_places();
    size_t place = 0;  // in the first group
    for (const PickScratch::Entry& entry : entries_) {
      const EndpointView& e = view(entry);
      const bool first = entry.group == first_group_;
      Rank rank{entry.group + (comes_later(entry, e, first, place) ? 1 : 0), 0, 0};
      rank.cost = first ? cost_of(entry, e, place) : entry.spread;
      place += first ? 1 : 0;
      insert(entry.endpoint, e, rank);
    }
    return out_;
  }

 private:
  const EndpointView& view(const PickScratch::Entry& entry) const {
    return in_.fleet.endpoints[entry.endpoint];
  }

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

  // Who is up, in which group, with which load. A group is what comes before other groups: not
  // full and near before far and full. Its number is even; the odd one above it is for those that
  // comes_later() names.
  void survey() {
    const size_t first_tier = draw_tier();
    const bool needs_sums = config_.policy == PickPolicy::kRoundRobin ||
                            config_.policy == PickPolicy::kRandomTwo || affine_;
    entries_.clear();
    for (const Failover::Member& m : in_.failover.members()) {
      const EndpointView& e = in_.fleet.endpoints[m.endpoint];
      if (!e.up) continue;
      const size_t order = m.tier == first_tier ? 0 : size_t{m.tier} + 1;
      const auto group = static_cast<uint32_t>((is_full(config_, e) ? kTiers + 1 : 0) + order) * 2;
      entries_.push_back({m.endpoint, group, load_tokens(config_, e) * m.load_factor, m.weight});
      if (!needs_sums) {
        first_group_ = std::min(first_group_, group);
        continue;
      }
      all_weight_ += m.weight;
      all_in_flight_ += e.in_flight;
      if (group > first_group_) continue;
      if (group < first_group_) {
        first_group_ = group;
        members_ = 0;
        weight_ = 0;
        equal_weights_ = true;
        some_weight_ = m.weight;
      }
      ++members_;
      weight_ += m.weight;
      equal_weights_ &= m.weight == some_weight_;
    }
  }

  // Of the first group without one member: who is at a point of the weights laid end to end,
  // 0 <= point < 1.
  Place place_at(double point, const Place& without) const {
    double at = point * (weight_ - without.weight);
    size_t place = 0;
    Place found;
    for (const PickScratch::Entry& entry : entries_) {
      if (entry.group != first_group_) continue;
      if (place != without.place) {
        found = {place, entry.weight};
        at -= found.weight;
        if (at < 0) break;
      }
      ++place;
    }
    return found;
  }

  void choose_places() {
    if (members_ == 0) return;
    if (config_.policy == PickPolicy::kRoundRobin) {
      // Multiples of the golden ratio fill the unit interval as evenly as a sequence without end
      // can, so every stretch of turns has each endpoint close to its share.
      first_place_ = equal_weights_ ? static_cast<size_t>(in_.turn % members_)
                                    : place_at(unit_of(in_.turn * 0x9E3779B97F4A7C15), {}).place;
    } else if (config_.policy == PickPolicy::kRandomTwo) {
      const Place first = place_at(unit_of(mix64(in_.draw + 1)), {});
      first_place_ = first.place;
      second_place_ = place_at(unit_of(mix64(in_.draw + 2)), first).place;
    }
  }

  // Behind the others of its group: who was not drawn, or has its share of the load.
  bool comes_later(const PickScratch::Entry& entry, const EndpointView& e, bool first,
                   size_t place) const {
    if (config_.policy == PickPolicy::kRandomTwo)
      return first && place != first_place_ && place != second_place_;
    return affine_ && over_bound(entry, e);
  }

  // Cost of a member of the first group.
  double cost_of(const PickScratch::Entry& entry, const EndpointView& e, size_t place) const {
    switch (config_.policy) {
      case PickPolicy::kRoundRobin:
        return static_cast<double>(place < first_place_ ? place + members_ - first_place_
                                                        : place - first_place_);
      case PickPolicy::kRandomTwo:
      case PickPolicy::kLeastLoaded:
        return entry.spread;
      case PickPolicy::kCacheAware:
        return -score(entry);
      case PickPolicy::kSessionAffinity:
        return affine_ ? distance(entry, e) : entry.spread;
    }
    return 0;
  }

  // Weighted rendezvous hashing (Thaler and Ravishankar 1998, in the logarithmic form): the least
  // -ln(u) / weight falls on each endpoint in proportion to its weight.
  double distance(const PickScratch::Entry& entry, const EndpointView& e) const {
    const double u = unit_of(mix64(session_ ^ mix64(e.identity)));
    return equal_weights_ ? 1 - u : -std::log(u) / entry.weight;
  }

  // The load of the least loaded would be the same in all scores of a request: it is left out.
  double score(const PickScratch::Entry& entry) const {
    const size_t i = entry.endpoint;
    const double matched = i < in_.matched_tokens.size() ? in_.matched_tokens[i] : 0;
    return std::min(matched * per_own_token_, 1.0) - config_.beta * entry.spread * per_own_token_;
  }

  // Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, SODA 2018): no
  // endpoint takes more than session_bound times its share of what is in flight.
  bool over_bound(const PickScratch::Entry& entry, const EndpointView& e) const {
    const auto total = static_cast<double>(all_in_flight_ + 1);
    return e.in_flight >= std::ceil(config_.session_bound * total * entry.weight / all_weight_);
  }

  void insert(uint32_t index, const EndpointView& e, Rank rank) {
    size_t at = out_.count;
    if (at == limit_) {
      const Rank& last = ranks_[limit_ - 1];
      if (rank.group > last.group || (rank.group == last.group && rank.cost > last.cost)) return;
    }
    rank.tie = mix64(in_.draw ^ e.identity ^ (uint64_t{index} << 40));
    while (at > 0 && rank < ranks_[at - 1]) --at;
    if (at == limit_) return;
    out_.count = std::min(out_.count + 1, limit_);
    for (size_t k = out_.count - 1; k > at; --k) {
      ranks_[k] = ranks_[k - 1];
      out_.endpoint[k] = out_.endpoint[k - 1];
    }
    ranks_[at] = rank;
    out_.endpoint[at] = index;
  }

  const PickConfig& config_;
  const PickInput& in_;
  std::vector<PickScratch::Entry>& entries_;
  uint64_t session_ = 0;
  bool affine_ = false;
  size_t limit_ = 1;
  double per_own_token_ = 1;           // 1 / tokens of the request
  uint32_t first_group_ = UINT32_MAX;  // the best that has anybody
  size_t members_ = 0;                 // of the first group, as the next
  double weight_ = 0;
  double some_weight_ = 0;
  bool equal_weights_ = true;
  double all_weight_ = 0;  // of all that are up
  int64_t all_in_flight_ = 0;
  size_t first_place_ = 0;
  size_t second_place_ = 0;
  Attempts out_;
  std::array<Rank, kMaxAttempts> ranks_;
};

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
  int32_t requests = e.in_flight;
  if (fresh(config, e)) {
    queued = std::max(queued, e.waiting * config.waiting_tokens);
    requests = std::max(requests, e.requests);
  }
  return queued + requests * config.stream_tokens;
}

bool is_full(const PickConfig& config, const EndpointView& e) {
  if (e.max_in_flight > 0 && e.in_flight >= e.max_in_flight) return true;
  return fresh(config, e) && e.waiting > 0 && e.kv_usage >= config.full_kv_usage;
}

Attempts route(const PickConfig& config, const PickInput& input, PickScratch& scratch) {
  return Picker(config, input, scratch).run();
}

}  // namespace weir::gateway
