#include "gateway/dispatcher.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/hash.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;
// Failover wants to be looked at about every second also when nothing went up or down.
constexpr int64_t kUpdateNs = 1'000 * kMs;
// Tiers of route/: that of the request's release, those of the others, then those of the file.
constexpr int32_t kOtherReleases = 1;

int32_t lowest_tier(const ModelConfig& model) {
  int32_t lowest = INT32_MAX;
  for (const TargetConfig& t : model.targets)
    if (t.weight > 0) lowest = std::min(lowest, t.tier);
  return lowest;
}

// Whole per cents in proportion to the weights, the largest remainders rounded up.
std::vector<int> per_cents(const std::vector<int64_t>& weights) {
  int64_t sum = 0;
  for (const int64_t w : weights) sum += w;
  std::vector<int> out;
  std::vector<std::pair<int64_t, size_t>> remainders;
  int left = 100;
  for (const int64_t w : weights) {
    const int share = sum == 0 ? 0 : static_cast<int>(100 * w / sum);
    remainders.emplace_back(sum == 0 ? 0 : 100 * w % sum, out.size());
    out.push_back(share);
    left -= share;
  }
  std::stable_sort(remainders.begin(), remainders.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (int i = 0; i < left; ++i) ++out[remainders[static_cast<size_t>(i)].second];
  return out;
}

}  // namespace

Dispatcher::Dispatcher(const GatewayConfig& config, Fleet& fleet, HashKey secret)
    : fleet_(fleet),
      secret_(secret),
      prefixes_({.endpoints = static_cast<uint32_t>(fleet.endpoints().size())}),
      matched_(fleet.endpoints().size()) {
  const auto number = [this](const std::string& place) -> uint32_t {
    if (place.empty()) return 0;
    return places_.try_emplace(place, static_cast<uint32_t>(places_.size() + 1)).first->second;
  };
  const auto zone = [&](const std::string& region, const std::string& name) {
    return number(name.empty() ? std::string() : region + '/' + name);
  };
  for (const Endpoint& e : fleet.endpoints()) {
    EndpointView& v = views_.emplace_back();
    v.identity = keyed_hash({}, std::as_bytes(std::span(e.config->url))).low;
    v.region = number(e.config->region);
    v.zone = zone(e.config->region, e.config->zone);
    if (e.upstream->cache_tokens > 0) prefixes_.set_capacity(e.index, e.upstream->cache_tokens);
  }
  view_ = {views_, number(config.region), zone(config.region, config.zone)};
  for (const ModelConfig& m : config.models) {
    if (m.targets.empty()) continue;  // other models answer
    auto route = make_route(m, nullptr);
    if (route.ok()) routes_.emplace(&m, std::move(*route));  // it is: the weights are the file's
  }
}

Dispatcher::Arm Dispatcher::make_arm(const ModelConfig& model, const std::string& release,
                                     int32_t lowest) const {
  Arm arm{{}, {}, Failover(model.failover), std::nullopt, 0};
  std::set<uint32_t> seen;
  const auto add = [&](bool own, bool first_tier) {
    for (const TargetConfig& t : model.targets) {
      if (t.weight == 0 && t.release != release) continue;
      if ((t.tier == lowest) != first_tier || (t.release == release) != own) continue;
      int32_t priority = t.tier - lowest + (t.tier == lowest && own ? 0 : kOtherReleases);
      priority = std::min<int32_t>(priority, kMaxPriorities - 1);
      for (const Endpoint* e : fleet_.of(t.upstream)) {
        if (!seen.insert(e->index).second) continue;
        arm.candidates.push_back({e->index, static_cast<uint8_t>(priority), 1});
        arm.target_of.push_back(&t);
      }
    }
  };
  add(true, true);
  add(false, true);
  add(true, false);
  add(false, false);
  return arm;
}

Result<Dispatcher::Route> Dispatcher::make_route(const ModelConfig& model,
                                                 const Weights* weights) const {
  const int32_t lowest = lowest_tier(model);
  std::vector<std::string> releases;
  std::vector<int64_t> shares;
  for (const TargetConfig& t : model.targets) {
    if (t.tier != lowest) continue;
    const auto found = std::find(releases.begin(), releases.end(), t.release);
    if (found == releases.end()) {
      releases.push_back(t.release);
      shares.push_back(t.weight);
    } else {
      shares[static_cast<size_t>(found - releases.begin())] += t.weight;
    }
  }
  Route route;
  for (const std::string& r : releases) route.arms.push_back(make_arm(model, r, lowest));
  if (releases.size() == 1) return route;
  if (weights != nullptr) {
    for (size_t i = 0; i < releases.size(); ++i) shares[i] = weights->find(releases[i])->second;
  }
  SplitConfig split{model.name, StickyBy::kUser, {}};
  const std::vector<int> percent = per_cents(shares);
  for (size_t i = 0; i < releases.size(); ++i)
    split.arms.push_back({releases[i], releases[i], percent[i]});
  WEIR_ASSIGN(route.split, Split::make(std::move(split)));
  return route;
}

Dispatcher::Assigned Dispatcher::assign(const ModelConfig& model, const RequestView& request,
                                        uint64_t draw) const {
  const Route& route = routes_.find(&model)->second;
  if (!route.split.has_value()) return {};
  const Assignment a = route.split->assign(request, draw);
  return {a.arm, a};
}

void Dispatcher::refresh(Arm& arm, int64_t now_ns) {
  bool changed = !arm.updated_ns.has_value() || now_ns - *arm.updated_ns > kUpdateNs;
  for (const Candidate& c : arm.candidates) {
    const Endpoint& e = fleet_.endpoints()[c.endpoint];
    EndpointView& v = views_[c.endpoint];
    const bool up = e.pool->may_send(e.number, now_ns);
    const double weight = e.config->weight * e.guard().weight(now_ns);
    changed |= up != v.up || std::abs(weight - v.weight) > 0.05 * v.weight;
    v.up = up;
    v.weight = weight;
    v.in_flight = e.guard().in_flight();
    v.max_in_flight = e.guard().limit();
    v.queued_tokens = e.queued_tokens;
  }
  if (!changed) return;
  arm.failover.update(view_, arm.candidates, now_ns);
  arm.updated_ns = now_ns;
}

Choice Dispatcher::choose(const ModelConfig& model, const Assigned& assigned,
                          const RequestView& request, std::span<const uint32_t> tried,
                          uint64_t draw, int64_t now_ns) {
  Arm& arm = routes_.find(&model)->second.arms[assigned.arm];
  refresh(arm, now_ns);
  std::span<const uint32_t> matched;
  if (!request.blocks.empty()) {
    prefixes_.match(request.blocks, matched_);
    matched = matched_;
  }
  const PickInput input{request, view_, arm.failover, matched, draw, arm.turn++};
  const Attempts order = gateway::route(model.pick, input, scratch_);
  for (const uint32_t index : order.all()) {
    if (std::find(tried.begin(), tried.end(), index) != tried.end()) continue;
    const auto at = std::find_if(arm.candidates.begin(), arm.candidates.end(),
                                 [&](const Candidate& c) { return c.endpoint == index; });
    return {&fleet_.endpoints()[index],
            arm.target_of[static_cast<size_t>(at - arm.candidates.begin())]};
  }
  return {};
}

void Dispatcher::sent(const Choice& choice, const RequestView& request) {
  if (!request.blocks.empty()) prefixes_.touch(choice.endpoint->index, request.blocks);
}

Dispatcher::Weights Dispatcher::weights() const {
  Weights out;
  for (const auto& [model, route] : routes_) {
    if (!route.split.has_value()) continue;
    for (const SplitArm& a : route.split->config().arms) out[a.name] = a.percent;
  }
  return out;
}

Status Dispatcher::set_weights(const Weights& weights) {
  std::vector<std::pair<const ModelConfig*, Route>> changed;
  int64_t sum = 0;
  for (const auto& [release, percent] : weights) sum += percent;
  if (sum != 100)
    return param_error(ErrorCode::kInvalidValue, "weights", "the weights make {}, not 100", sum);
  for (const auto& [model, route] : routes_) {
    if (!route.split.has_value()) continue;
    const auto& arms = route.split->config().arms;
    const bool these = arms.size() == weights.size() &&
                       std::all_of(arms.begin(), arms.end(),
                                   [&](const SplitArm& a) { return weights.contains(a.name); });
    if (!these) continue;
    WEIR_ASSIGN(Route next, make_route(*model, &weights));
    changed.emplace_back(model, std::move(next));
  }
  if (changed.empty())
    return param_error(ErrorCode::kInvalidValue, "weights",
                       "no model has exactly these releases: GET /admin/rollout lists them");
  for (auto& [model, route] : changed) routes_.find(model)->second = std::move(route);
  return {};
}

}  // namespace weir::gateway
