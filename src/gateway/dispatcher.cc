#include "gateway/dispatcher.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/hash.h"
#include "base/units.h"
#include "gateway/release_shares.h"

namespace weir::gateway {
namespace {

// Failover wants to be looked at about every second also when nothing went up or down.
constexpr int64_t kUpdateNs = 1'000 * kNsPerMs;
// Tiers of route/: that of the request's release, those of the others, then those of the file.
constexpr int32_t kOtherReleases = 1;

// Whether the file gives both the same releases with the same shares.
bool same_shares(const ModelConfig& a, const ModelConfig& b) {
  return std::equal(a.targets.begin(), a.targets.end(), b.targets.begin(), b.targets.end(),
                    [](const TargetConfig& x, const TargetConfig& y) {
                      return x.release == y.release && x.weight == y.weight && x.tier == y.tier;
                    });
}

}  // namespace

Dispatcher::Dispatcher(const GatewayConfig& config, Fleet& fleet, HashKey secret)
    : config_(&config),
      fleet_(fleet),
      secret_(secret),
      prefixes_({.endpoints = static_cast<uint32_t>(fleet.slots().size())}) {
  for (const ModelConfig& m : config.models) {
    if (m.targets.empty()) continue;  // other models answer
    auto route = make_route(m, nullptr);
    if (route.ok()) routes_.emplace(&m, std::move(*route));  // it is: the weights are the file's
  }
  sync();
}

void Dispatcher::adopt(const GatewayConfig& config) {
  for (const ModelConfig& m : config.models) {
    if (m.targets.empty()) continue;
    const auto before = std::find_if(config_->models.begin(), config_->models.end(),
                                     [&](const ModelConfig& old) { return old.name == m.name; });
    std::optional<Weights> kept;
    if (before != config_->models.end() && same_shares(*before, m)) {
      const Route* route = routed(*before);
      if (route != nullptr && route->split.has_value()) {
        kept.emplace();
        for (const SplitArm& a : route->split->config().arms) kept->emplace(a.name, a.percent);
      }
    }
    auto route = make_route(m, kept.has_value() ? &*kept : nullptr);
    if (route.ok()) routes_.insert_or_assign(&m, std::move(*route));
  }
  config_ = &config;
  version_ = 0;
}

void Dispatcher::forget(const GatewayConfig& config) {
  for (const ModelConfig& m : config.models) routes_.erase(&m);
}

// Numbers of names that the file or discovery gives; beyond 65,535 of them a place is not told.
uint32_t Dispatcher::place(const std::string& name) {
  constexpr size_t kMaxPlaces = 65'535;
  if (name.empty()) return 0;
  if (places_.size() >= kMaxPlaces && !places_.contains(name)) return 0;
  return places_.try_emplace(name, static_cast<uint32_t>(places_.size() + 1)).first->second;
}

void Dispatcher::show(const Endpoint& e) {
  EndpointView& v = views_[e.index];
  const std::string& region = e.config->region;
  const std::string& zone = e.config->zone;
  if (serials_[e.index] != e.serial) {
    v = {};
    v.identity = keyed_hash({}, std::as_bytes(std::span(e.config->url))).low;
    v.up = false;  // until it is looked at
    prefixes_.cleared(e.index);
    prefixes_.set_capacity(e.index, e.upstream->cache_tokens);
    serials_[e.index] = e.serial;
  }
  v.region = place(region);
  v.zone = place(zone.empty() ? zone : region + '/' + zone);
}

void Dispatcher::sync() {
  if (version_ == fleet_.version()) return;
  version_ = fleet_.version();
  const size_t slots = fleet_.slots().size();
  if (slots > prefixes_.endpoints()) prefixes_.grow(static_cast<uint32_t>(slots));
  views_.resize(slots);
  serials_.resize(slots);
  matched_.resize(prefixes_.endpoints());
  for (size_t i = 0; i < slots; ++i) {
    const EndpointPtr& e = fleet_.slots()[i];
    if (e != nullptr && !e->retired) {
      show(*e);
    } else if (serials_[i] != 0) {
      prefixes_.cleared(static_cast<uint32_t>(i));
      views_[i] = {};
      views_[i].up = false;
      serials_[i] = 0;
    }
  }
  const std::string& region = config_->region;
  const std::string& zone = config_->zone;
  view_ = {views_, place(region), place(zone.empty() ? zone : region + '/' + zone)};
  for (auto& [model, route] : routes_)
    for (Arm& arm : route.arms) fill_arm(*model, arm);
}

void Dispatcher::fill_arm(const ModelConfig& model, Arm& arm) const {
  arm.candidates.clear();
  arm.target_of.clear();
  arm.updated_ns.reset();
  const int32_t lowest = lowest_tier(model);
  std::set<uint32_t> seen;
  const auto add = [&](bool own, bool first_tier) {
    for (const TargetConfig& t : model.targets) {
      if (t.weight == 0 && t.release != arm.release) continue;
      if ((t.tier == lowest) != first_tier || (t.release == arm.release) != own) continue;
      int32_t priority = t.tier - lowest + (t.tier == lowest && own ? 0 : kOtherReleases);
      priority = std::min<int32_t>(priority, kMaxPriorities - 1);
      for (const EndpointPtr& e : fleet_.of(t.upstream)) {
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
}

const Dispatcher::Route* Dispatcher::routed(const ModelConfig& model) const {
  const auto found = routes_.find(&model);
  return found == routes_.end() ? nullptr : &found->second;
}

Result<Dispatcher::Route> Dispatcher::make_route(const ModelConfig& model,
                                                 const Weights* weights) const {
  const std::vector<ReleaseShare> shares = release_shares(model);
  Route route;
  for (const ReleaseShare& s : shares) {
    route.arms.push_back({s.release, {}, {}, Failover(model.failover), std::nullopt, 0});
    fill_arm(model, route.arms.back());
  }
  if (shares.size() == 1) return route;
  SplitConfig split{model.name, StickyBy::kUser, {}};
  for (const ReleaseShare& s : shares)
    split.arms.push_back(
        {s.release, s.release, weights == nullptr ? s.percent : weights->find(s.release)->second});
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

const std::string& Dispatcher::release_of(const ModelConfig& model,
                                          const Assigned& assigned) const {
  return routes_.find(&model)->second.arms[assigned.arm].release;
}

void Dispatcher::refresh(const ModelConfig& model, Arm& arm, int64_t now_ns) {
  bool changed = !arm.updated_ns.has_value() || now_ns - *arm.updated_ns > kUpdateNs;
  for (const Candidate& c : arm.candidates) {
    const Endpoint& e = *fleet_.slots()[c.endpoint];
    EndpointView& v = views_[c.endpoint];
    const bool up = e.pool->may_send(e.number, now_ns);
    const double weight = e.config->weight * e.guard().weight(now_ns);
    changed |= up != v.up || std::abs(weight - v.weight) > 0.05 * v.weight;
    v.up = up;
    v.weight = weight;
    v.in_flight = e.guard().in_flight();
    v.max_in_flight = e.guard().limit();
    v.queued_tokens = e.queued_tokens;
    apply_report(e.report, model.pick.waiting_tokens, fresh_ns(e.upstream->metrics), now_ns, v);
  }
  if (!changed) return;
  arm.failover.update(view_, arm.candidates, now_ns);
  arm.updated_ns = now_ns;
}

Choice Dispatcher::choose(const ModelConfig& model, const Assigned& assigned,
                          const RequestView& request, std::span<const uint32_t> tried,
                          uint64_t draw, int64_t now_ns) {
  sync();
  Arm& arm = routes_.find(&model)->second.arms[assigned.arm];
  refresh(model, arm, now_ns);
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
    return {fleet_.slots()[index], arm.target_of[static_cast<size_t>(at - arm.candidates.begin())]};
  }
  return {};
}

void Dispatcher::sent(const Choice& choice, const RequestView& request) {
  if (request.blocks.empty() || choice.endpoint->retired) return;
  prefixes_.touch(choice.endpoint->index, request.blocks);
}

Dispatcher::Weights Dispatcher::weights() const {
  Weights out;
  for (const ModelConfig& model : config_->models) {
    const Route* route = routed(model);
    if (route == nullptr || !route->split.has_value()) continue;
    for (const SplitArm& a : route->split->config().arms) out[a.name] = a.percent;
  }
  return out;
}

Status Dispatcher::set_weights(const Weights& weights) {
  std::vector<std::pair<const ModelConfig*, Route>> changed;
  int64_t sum = 0;
  for (const auto& [release, percent] : weights) sum += percent;
  if (sum != 100)
    return param_error(ErrorCode::kInvalidValue, "weights", "the weights make {}, not 100", sum);
  for (const ModelConfig& model : config_->models) {
    const Route* route = routed(model);
    if (route == nullptr || !route->split.has_value()) continue;
    const auto& arms = route->split->config().arms;
    const bool these = arms.size() == weights.size() &&
                       std::all_of(arms.begin(), arms.end(),
                                   [&](const SplitArm& a) { return weights.contains(a.name); });
    if (!these) continue;
    WEIR_ASSIGN(Route next, make_route(model, &weights));
    changed.emplace_back(&model, std::move(next));
  }
  if (changed.empty())
    return param_error(ErrorCode::kInvalidValue, "weights",
                       "no model has exactly these releases: GET /admin/rollout lists them");
  for (auto& [model, next] : changed) routes_.find(model)->second = std::move(next);
  return {};
}

}  // namespace weir::gateway
