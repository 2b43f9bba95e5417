#include "gateway/proxy_admin.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/units.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr size_t kMaxReleases = 1000;

// What it said of its load, and whether that is believed.
Json signals_json(const Endpoint& e, int64_t now_ns) {
  if (metrics_target(*e.upstream).empty()) return {};
  Json out = Json::object();
  out.set("stale", e.stale || !e.report.has_value());
  if (!e.report.has_value()) return out;
  const CapacitySignals& said = e.report->said;
  out.set("age_ms", (now_ns - e.report->at_ns) / kNsPerMs);
  if (said.waiting) out.set("waiting", int64_t{*said.waiting});
  if (said.running) out.set("running", int64_t{*said.running});
  if (said.kv_usage) out.set("kv_usage", static_cast<double>(*said.kv_usage));
  if (said.queued_tokens) out.set("queued_tokens", *said.queued_tokens);
  return out;
}

}  // namespace

std::string fleet_json(Proxy& proxy, const FleetKeeper& keeper) {
  const int64_t now_ns = proxy.clock().now_ns();
  Json list = Json::array();
  for (const EndpointPtr& slot : proxy.fleet().slots()) {
    if (slot == nullptr) continue;
    const Endpoint& e = *slot;
    const EndpointGuardView v = e.guard().view(now_ns);
    Json one = Json::object();
    one.set("upstream", e.upstream->name);
    one.set("endpoint", e.config->url);
    const SendVerdict verdict = e.pool->verdict(e.number, now_ns);
    one.set("state", v.verdict == SendVerdict::kYes ? "ready" : send_verdict_name(v.verdict));
    // It is asked all the same: too few of its pool are healthy to leave the others out.
    one.set("asked_in_panic", verdict == SendVerdict::kYes && v.verdict != SendVerdict::kYes);
    one.set("healthy", v.healthy);
    one.set("breaker", breaker_state_name(v.breaker.state));
    one.set("in_flight", v.in_flight);
    one.set("limit", v.limit);
    one.set("weight", v.weight * e.config->weight);
    one.set("queued_tokens", e.queued_tokens);
    one.set("signals", signals_json(e, now_ns));
    one.set("good", static_cast<int64_t>(v.good));
    one.set("bad", static_cast<int64_t>(v.bad));
    one.set("busy", static_cast<int64_t>(v.busy));
    list.push_back(std::move(one));
  }
  Json body = Json::object();
  body.set("endpoints", std::move(list));
  Json found = Json::array();
  for (const auto& [pool, discovery] : keeper.discoveries()) {
    const DiscoveryState& state = discovery->state();
    Json one = Json::object();
    one.set("upstream", proxy.fleet().upstream(pool).name);
    one.set("source", state.source);
    one.set("endpoints", static_cast<int64_t>(proxy.fleet().of(pool).size()));
    one.set("good", state.good);
    one.set("age_ms",
            state.good_at_ns == 0 ? Json() : Json((now_ns - state.good_at_ns) / kNsPerMs));
    one.set("problem", state.problem);
    found.push_back(std::move(one));
  }
  body.set("discoveries", std::move(found));
  return body.dump();
}

std::string rollout_json(Proxy& proxy, int64_t window_s) {
  Json weights = Json::object();
  for (const auto& [release, percent] : proxy.dispatcher().weights()) weights.set(release, percent);
  Json releases = Json::object();
  const int64_t now_s = proxy.clock().now_ns() / kNsPerS;
  for (const auto& [release, window] : proxy.releases()) {
    const ReleaseWindow::Counts c = window.last(window_s, now_s);
    Json one = Json::object();
    one.set("requests", c.requests);
    one.set("burn_rate", c.requests == 0
                             ? Json()
                             : Json(static_cast<double>(c.missed) /
                                    static_cast<double>(c.requests) / proxy.config().error_budget));
    releases.set(release, std::move(one));
  }
  Json body = Json::object();
  body.set("weights", std::move(weights));
  body.set("releases", std::move(releases));
  return body.dump();
}

Status put_weights(Proxy& proxy, std::string_view text) {
  WEIR_ASSIGN(const Json body, Json::parse(text));
  const Json* weights = body.find("weights");
  if (weights == nullptr || !weights->is_object() || weights->size() > kMaxReleases)
    return param_error(ErrorCode::kInvalidValue, "weights",
                       "weights must be an object of at most {} releases with their per cents",
                       kMaxReleases);
  Dispatcher::Weights next;
  for (const auto& [release, percent] : weights->members()) {
    if (!percent.is_int() || percent.as_int() < 0 || percent.as_int() > 100)
      return param_error(ErrorCode::kInvalidValue, "weights." + release.substr(0, 100),
                         "a weight is a whole per cent from 0 to 100");
    next[release] = static_cast<int>(percent.as_int());
  }
  return proxy.dispatcher().set_weights(next);
}

Result<int64_t> window_of(std::string_view query) {
  constexpr std::string_view kName = "window_s=";
  if (query.empty()) return 60;
  double window = 0;
  const std::string_view value = query.starts_with(kName) ? query.substr(kName.size()) : "";
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), window);
  if (value.empty() || error != std::errc() || end != value.data() + value.size() ||
      !(window > 0 && window <= ReleaseWindow::kSeconds))
    return param_error(ErrorCode::kInvalidValue, "window_s", "window_s must be above 0, {} at most",
                       ReleaseWindow::kSeconds);
  return std::max<int64_t>(1, std::lround(window));
}

}  // namespace weir::gateway
