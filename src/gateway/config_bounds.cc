#include "gateway/config_bounds.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "gateway/prober.h"

namespace weir::gateway {
namespace {

using text::Json;

// Where an endpoint's health is asked for; "": nowhere.
std::string health_target(const UpstreamConfig& u) {
  if (u.health_path == "none") return "";
  return u.health_path.empty() ? std::string(health_path(u.engine)) : u.health_path;
}

Json path_or_null(const std::string& path) { return path.empty() ? Json() : Json(path); }

Json money(int64_t nanos) { return money_number(nanos); }

}  // namespace

std::string describe_bounds(const ModelConfig& m) {
  const RouteTimeouts& t = m.timeouts;
  std::string out = fmt::format("  time-outs in ms: connect {}, first byte {}, idle {}, total {}\n",
                                t.connect_ms, t.first_byte_ms, t.idle_ms, t.total_ms);
  out += fmt::format("  attempts: {} at most, of statuses {}{}\n", m.retry.max_attempts,
                     fmt::join(m.retry.statuses, " "),
                     m.retry.continue_streams ? "; a stream that breaks off goes on" : "");
  if (m.hedge.enabled)
    out += fmt::format("  hedges: after quantile {}, {} of the requests at most\n",
                       m.hedge.quantile, m.hedge.budget_ratio);
  if (m.shed.max_in_flight > 0)
    out += fmt::format("  at once: {}, and {} wait for {} ms at most\n", m.shed.max_in_flight,
                       m.shed.max_queued, m.shed.max_wait_ms);
  return out;
}

void add_bounds(Json& json, const ModelConfig& m) {
  Json timeouts = Json::object();
  timeouts.set("connect_ms", m.timeouts.connect_ms);
  timeouts.set("first_byte_ms", m.timeouts.first_byte_ms);
  timeouts.set("idle_ms", m.timeouts.idle_ms);
  timeouts.set("total_ms", m.timeouts.total_ms);
  json.set("timeouts", std::move(timeouts));
  Json retry = Json::object();
  retry.set("max_attempts", int64_t{m.retry.max_attempts});
  Json statuses = Json::array();
  for (const int status : m.retry.statuses) statuses.push_back(int64_t{status});
  retry.set("statuses", std::move(statuses));
  retry.set("rerun_generation", m.retry.rerun_generation);
  retry.set("continue_streams", m.retry.continue_streams);
  json.set("retry", std::move(retry));
  Json hedge = Json::object();
  hedge.set("enabled", m.hedge.enabled);
  hedge.set("quantile", m.hedge.quantile);
  hedge.set("budget_ratio", m.hedge.budget_ratio);
  json.set("hedge", std::move(hedge));
  Json shed;
  if (m.shed.max_in_flight > 0) {
    shed = Json::object();
    shed.set("max_in_flight", int64_t{m.shed.max_in_flight});
    shed.set("max_queued", int64_t{m.shed.max_queued});
    shed.set("max_wait_ms", m.shed.max_wait_ms);
  }
  json.set("shed", std::move(shed));
}

std::string describe_checks(const GatewayConfig& c) {
  std::string out;
  for (const UpstreamConfig& u : c.upstreams) {
    const std::string health = health_target(u);
    const std::string metrics = metrics_target(u);
    out += fmt::format("{}: {} at once to an endpoint at most{}; health {}; metrics {}\n", u.name,
                       u.guard.endpoint.limit.max_limit,
                       u.guard.endpoint.limit.adaptive ? ", fewer while it is slow" : "",
                       health.empty() ? "not asked for" : health,
                       metrics.empty() ? "not read" : metrics);
  }
  return out;
}

void add_checks(Json& json, const UpstreamConfig& u) {
  json.set("health_path", path_or_null(health_target(u)));
  json.set("metrics", path_or_null(metrics_target(u)));
  json.set("adaptive_limit", u.guard.endpoint.limit.adaptive);
}

std::string describe_rest(const GatewayConfig& c) {
  std::string out =
      fmt::format("redaction: what logs are scrubbed of, and {} pattern{} of this file\n",
                  c.redaction_patterns.size(), c.redaction_patterns.size() == 1 ? "" : "s");
  const PriorityConfig& p = c.priorities;
  if (!p.header.empty() || !p.tenants.empty() || !p.keys.empty())
    out += fmt::format("priorities: {} by default, {} tenants and {} keys have their own{}\n",
                       p.by_default, p.tenants.size(), p.keys.size(),
                       p.header.empty() ? "" : ", clients say theirs in " + p.header);
  const std::vector<ModelPrice>& prices = c.prices.all();
  if (prices.empty()) return out;
  const auto oldest =
      std::min_element(prices.begin(), prices.end(),
                       [](const ModelPrice& a, const ModelPrice& b) { return a.date < b.date; });
  return out + fmt::format("prices: {} in {}, the oldest of {}\n", prices.size(),
                           c.prices.currency(), oldest->date);
}

Json priorities_json(const PriorityConfig& p) {
  const auto map = [](const auto& by_name) {
    Json out = Json::object();
    for (const auto& [name, priority] : by_name) out.set(name, static_cast<int64_t>(priority));
    return out;
  };
  Json out = Json::object();
  out.set("default", static_cast<int64_t>(p.by_default));
  out.set("header", path_or_null(p.header));
  out.set("tenants", map(p.tenants));
  out.set("keys", map(p.keys));
  return out;
}

Json prices_json(const PriceTable& prices) {
  Json out = Json::array();
  for (const ModelPrice& p : prices.all()) {
    Json one = Json::object();
    if (!p.upstream.empty()) one.set("upstream", p.upstream);
    one.set("model", p.model);
    one.set("input", money(p.input));
    if (p.cached_input.has_value()) one.set("cached_input", money(*p.cached_input));
    if (p.cache_write.has_value()) one.set("cache_write", money(*p.cache_write));
    one.set("output", money(p.output));
    one.set("currency", p.currency);
    one.set("date", p.date);
    if (!p.source.empty()) one.set("source", p.source);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace weir::gateway
