// What a configuration would serve, by whom and within which bounds: for people (describe), and as
// JSON for programs. Secrets stand in neither.
#include <fmt/ranges.h>

#include "base/units.h"
#include "gateway/config.h"
#include "gateway/config_bounds.h"
#include "gateway/config_names.h"
#include "gateway/config_quotas.h"
#include "gateway/incoming.h"
#include "gateway/release_shares.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::gateway {
namespace {

using text::Json;

std::string where(const UpstreamConfig& u) {
  if (u.dns.has_value()) return fmt::format("dns {}:{}", u.dns->name, u.dns->port);
  if (u.kubernetes.has_value())
    return fmt::format("kubernetes {}/{}", u.kubernetes->name_space, u.kubernetes->service);
  return fmt::format("{} endpoint{}", u.endpoints.size(), u.endpoints.size() == 1 ? "" : "s");
}

int64_t ttl_s(const GatewayConfig& c, const ModelConfig& m) {
  return m.cache_ttl_s > 0 ? m.cache_ttl_s : c.answers.cache.ttl_ns / kNsPerS;
}

std::string describe_head(const GatewayConfig& c) {
  std::string out =
      fmt::format("listens on {}:{}{}\n", c.host, c.port, c.tls.certificate.empty() ? "" : ", TLS");
  if (c.admin_port >= 0) out += fmt::format("admin on {}:{}\n", c.admin_host, c.admin_port);
  out += fmt::format("paths: {}\n", fmt::join(kForwardedPaths, ", "));
  for (const NamedFile& f : c.files) out += fmt::format("file {}: {}\n", f.key, f.path);
  return out;
}

std::string describe_model(const GatewayConfig& c, const ModelConfig& m) {
  std::string out = m.targets.empty()
                        ? m.name + "\n"
                        : fmt::format("{}  ({})\n", m.name, pick_policy_name(m.pick.policy));
  for (const TargetConfig& t : m.targets) {
    const UpstreamConfig& u = c.upstreams[t.upstream];
    out += fmt::format("  tier {}  weight {:>3}  {} ({}, {})  model {}  release {}\n", t.tier,
                       t.weight, u.name, u.engine, where(u), t.model, t.release);
  }
  if (const std::string shares = shares_text(m); !shares.empty())
    out += fmt::format("  releases share: {}\n", shares);
  out += describe_routing(m);
  if (c.answers.cache_enabled && m.cache != CacheMode::kOff)
    out += fmt::format("  answers are kept: {}, {} s\n", name_of(m.cache), ttl_s(c, m));
  if (m.prompt_budget.max_input_tokens > 0)
    out += fmt::format("  prompts of {} tokens at most; longer: {}\n",
                       m.prompt_budget.max_input_tokens, name_of(m.prompt_budget.action));
  if (m.redact) out += "  prompts are redacted\n";
  if (m.leak_check != LeakCheck::kOff)
    out += fmt::format("  leak check: {}\n", name_of(m.leak_check));
  out += describe_bounds(m);
  if (m.slo_first_byte_ms > 0)
    out += fmt::format("  SLO: first byte within {} ms\n", m.slo_first_byte_ms);
  return out;
}

std::string describe_kept(const GatewayConfig& c) {
  const AnswerStoreConfig& a = c.answers;
  std::string out = "cache: off\n";
  if (a.cache_enabled)
    out = fmt::format("cache: {} s, stale {} s more; {} bytes, {} of an answer\n",
                      a.cache.ttl_ns / kNsPerS, a.cache.stale_ns / kNsPerS, a.cache.max_bytes,
                      a.cache.max_answer_bytes);
  if (!a.semantic_model.empty())
    out += fmt::format("semantic cache: by {}, from {} on, for {}\n", a.semantic_model,
                       a.semantic.threshold, fmt::join(a.semantic_tenants, ", "));
  out += a.idempotency_enabled
             ? fmt::format("idempotency keys: {} h, in {}\n", a.idempotency.keep_ms / kMsPerHour,
                           a.idempotency_file.empty() ? "memory" : a.idempotency_file)
             : "idempotency keys: off\n";
  out += c.ledger.path.empty()
             ? "ledger: none\n"
             : fmt::format("ledger: {} days, {} rows\n", c.ledger.max_age_days, c.ledger.max_rows);
  return out + fmt::format("error budget: {} of the requests\n", c.error_budget);
}

std::string describe_retries(const GatewayConfig& c) {
  std::string out;
  for (const UpstreamConfig& u : c.upstreams) {
    const RetryBudgetConfig& b = u.guard.budget;
    out += fmt::format("retry budget of {}: {} of its requests, {} a second at least\n", u.name,
                       b.ratio, b.min_per_s);
  }
  return out;
}

template <typename Range>
Json texts(const Range& range) {
  Json out = Json::array();
  for (const auto& text : range) out.push_back(text::replace_invalid_utf8(text));
  return out;
}

Json upstreams_json(const GatewayConfig& c) {
  Json out = Json::array();
  for (const UpstreamConfig& u : c.upstreams) {
    Json j = Json::object();
    j.set("name", u.name);
    j.set("engine", u.engine);
    j.set("where", where(u));
    Json urls = Json::array();
    for (const EndpointConfig& e : u.endpoints) urls.push_back(e.url);
    j.set("endpoints", std::move(urls));
    j.set("key", !u.key.empty());
    j.set("max_in_flight", static_cast<int64_t>(u.guard.endpoint.limit.max_limit));
    Json budget = Json::object();
    budget.set("ratio", u.guard.budget.ratio);
    budget.set("min_per_s", u.guard.budget.min_per_s);
    j.set("retry_budget", std::move(budget));
    add_checks(j, u);
    out.push_back(std::move(j));
  }
  return out;
}

Json cascade_json(const CascadeConfig& cascade) {
  Json steps = Json::array();
  for (const CascadeStepConfig& s : cascade.steps) {
    Json j = Json::object();
    j.set("model", s.model);
    j.set("check", describe_check(s.check));
    steps.push_back(std::move(j));
  }
  Json out = Json::object();
  out.set("steps", std::move(steps));
  if (cascade.max_cost_nanos.has_value()) out.set("max_cost", money_text(*cascade.max_cost_nanos));
  out.set("max_latency_ms", cascade.max_latency_ms);
  return out;
}

Json model_json(const GatewayConfig& c, const ModelConfig& m) {
  Json j = Json::object();
  j.set("name", m.name);
  j.set("policy", pick_policy_name(m.pick.policy));
  Json targets = Json::array();
  for (const TargetConfig& t : m.targets) {
    Json one = Json::object();
    one.set("upstream", t.upstream_name);
    one.set("model", t.model);
    one.set("tier", int64_t{t.tier});
    one.set("weight", int64_t{t.weight});
    one.set("release", t.release);
    targets.push_back(std::move(one));
  }
  j.set("targets", std::move(targets));
  Json shares = Json::object();
  for (const ReleaseShare& s : release_shares(m)) shares.set(s.release, int64_t{s.percent});
  j.set("release_percent", std::move(shares));
  if (m.cascade.has_value()) j.set("cascade", cascade_json(*m.cascade));
  if (m.difficulty.has_value()) {
    Json one = Json::object();
    one.set("small", m.difficulty->small);
    one.set("large", m.difficulty->large);
    one.set("threshold", m.difficulty->threshold);
    j.set("difficulty", std::move(one));
  }
  if (m.shadow.has_value()) {
    Json one = Json::object();
    one.set("model", m.shadow->model);
    one.set("sample", m.shadow->sample);
    j.set("shadow", std::move(one));
  }
  j.set("cache", c.answers.cache_enabled ? name_of(m.cache) : "off");
  j.set("cache_ttl_s", ttl_s(c, m));
  j.set("max_input_tokens", m.prompt_budget.max_input_tokens);
  j.set("over_budget", name_of(m.prompt_budget.action));
  j.set("redact", m.redact);
  j.set("leak_check", name_of(m.leak_check));
  j.set("slo_first_byte_ms", m.slo_first_byte_ms);
  add_bounds(j, m);
  return j;
}

Json kept_json(const AnswerStoreConfig& a) {
  Json cache = Json::object();
  cache.set("enabled", a.cache_enabled);
  cache.set("ttl_s", a.cache.ttl_ns / kNsPerS);
  cache.set("stale_s", a.cache.stale_ns / kNsPerS);
  cache.set("max_bytes", static_cast<int64_t>(a.cache.max_bytes));
  cache.set("max_answer_bytes", static_cast<int64_t>(a.cache.max_answer_bytes));
  if (!a.semantic_model.empty()) {
    Json semantic = Json::object();
    semantic.set("model", a.semantic_model);
    semantic.set("threshold", a.semantic.threshold);
    semantic.set("tenants", texts(a.semantic_tenants));
    cache.set("semantic", std::move(semantic));
  }
  return cache;
}

Json idempotency_json(const AnswerStoreConfig& a) {
  Json out = Json::object();
  out.set("enabled", a.idempotency_enabled);
  out.set("keep_hours", a.idempotency.keep_ms / kMsPerHour);
  out.set("store",
          a.idempotency_file.empty() ? "memory" : text::replace_invalid_utf8(a.idempotency_file));
  return out;
}

Json quotas_json(const GatewayConfig& c) {
  Json rules = Json::array();
  for (const QuotaRule& r : c.quotas.rules.all()) {
    Json j = Json::object();
    j.set("name", r.name);
    for (const auto& [key, value] :
         {std::pair("tenant", &r.tenant), {"key", &r.key}, {"model", &r.model}})
      if (!value->empty()) j.set(key, *value);
    j.set("metric", quota_metric_key(r.metric));
    j.set("window", quota_window_name(r.window));
    j.set("limit", r.metric == QuotaMetric::kMoney ? Json(money_number(r.limit)) : Json(r.limit));
    if (r.metric == QuotaMetric::kMoney) j.set("currency", c.prices.currency());
    rules.push_back(std::move(j));
  }
  Json out = Json::object();
  out.set("store", text::replace_invalid_utf8(c.quotas.store_name()));
  out.set("rules", std::move(rules));
  return out;
}

// The file and what it comes to: what every document begins with. Its name may be any bytes.
Json document(const std::string& file, bool good) {
  Json j = Json::object();
  j.set("file", text::replace_invalid_utf8(file));
  j.set("good", good);
  return j;
}

}  // namespace

std::string describe(const GatewayConfig& c) {
  std::string out = describe_head(c);
  for (const ModelConfig& m : c.models) out += describe_model(c, m);
  return out + describe_rules(c) + describe_kept(c) + describe_checks(c) + describe_retries(c) +
         describe_rest(c) + describe_quotas(c);
}

std::string describe_json(const GatewayConfig& c, const std::string& file,
                          const std::vector<std::string>& warnings) {
  Json j = document(file, true);
  j.set("errors", Json::array());
  Json listen = Json::object();
  listen.set("host", c.host);
  listen.set("port", int64_t{c.port});
  listen.set("tls", !c.tls.certificate.empty());
  j.set("listen", std::move(listen));
  j.set("admin_port", c.admin_port >= 0 ? Json(int64_t{c.admin_port}) : Json());
  j.set("keys", !c.keys_file.empty());
  j.set("paths", texts(kForwardedPaths));
  Json files = Json::array();
  for (const NamedFile& f : c.files) {
    Json one = Json::object();
    one.set("key", f.key);
    one.set("path", text::replace_invalid_utf8(f.path));
    files.push_back(std::move(one));
  }
  j.set("files", std::move(files));
  j.set("upstreams", upstreams_json(c));
  Json models = Json::array();
  for (const ModelConfig& m : c.models) models.push_back(model_json(c, m));
  j.set("models", std::move(models));
  Json rules = Json::array();
  for (const Rule& r : c.rules) {
    Json one = Json::object();
    one.set("name", r.name);
    one.set("models", texts(r.models));
    one.set("to", r.target);
    rules.push_back(std::move(one));
  }
  j.set("rules", std::move(rules));
  j.set("cache", kept_json(c.answers));
  j.set("idempotency", idempotency_json(c.answers));
  Json ledger;  // null: none
  if (!c.ledger.path.empty()) {
    ledger = Json::object();
    ledger.set("file", text::replace_invalid_utf8(c.ledger.path));
    ledger.set("max_age_days", int64_t{c.ledger.max_age_days});
    ledger.set("max_rows", static_cast<int64_t>(c.ledger.max_rows));
  }
  j.set("ledger", std::move(ledger));
  j.set("error_budget", c.error_budget);
  j.set("quotas", quotas_json(c));
  j.set("priorities", priorities_json(c.priorities));
  j.set("prices", prices_json(c.prices));
  j.set("redaction_patterns", texts(c.redaction_patterns));
  std::vector<std::string> all = c.quotas.warnings;
  all.insert(all.end(), warnings.begin(), warnings.end());
  j.set("warnings", texts(all));
  return j.dump();
}

std::string problems_json(const config::Problems& problems) {
  Json errors = Json::array();
  for (const config::Problem& p : problems.all()) {
    Json one = Json::object();
    one.set("file", text::replace_invalid_utf8(problems.file()));
    if (p.line > 0) one.set("line", int64_t{p.line});
    one.set("message", text::replace_invalid_utf8(p.message));
    errors.push_back(std::move(one));
  }
  Json j = document(problems.file(), false);
  j.set("errors", std::move(errors));
  j.set("errors_left_out", static_cast<int64_t>(problems.left_out()));
  return j.dump();
}

}  // namespace weir::gateway
