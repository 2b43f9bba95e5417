#include "gateway/config.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "access/keys_file.h"
#include "config/table.h"
#include "os/file.h"

// A field of a struct, for Table::add.
#define WEIR_FIELD(type, path) \
  [](type & o) -> auto& { return o.path; }

namespace weir::gateway {
namespace {

using config::Node;

constexpr size_t kMaxUpstreams = 1'000;
constexpr size_t kMaxEndpoints = 10'000;  // of all upstreams
constexpr size_t kMaxModels = 10'000;
constexpr size_t kMaxTargets = 100;  // of a model
constexpr size_t kMaxNameBytes = 128;
constexpr uint64_t kMaxSecretBytes = 64 * 1024;
constexpr double kDayMs = 86'400'000;
constexpr double kYearS = 366 * 86'400;
constexpr int64_t kNsPerS = 1'000'000'000;
constexpr int64_t kMsPerHour = 3'600'000;

// What stands in the file and not, as it is, in the configuration.
struct RawSecret {
  std::string env;
  std::string file;
};
struct RawTop {
  GatewayConfig config;
  int64_t cache_ttl_s = 3600;
  int64_t cache_stale_s = 0;
  int64_t idempotency_hours = 24;
  RawSecret admin_token;
};
struct RawUpstream {
  RawUpstream() { config.guard.budget.min_per_s = kMinRetriesPerS; }
  UpstreamConfig config;
  RawSecret key;
  std::string continue_by;  // "": as the engine does
};
struct RawTarget {
  TargetConfig config;
  std::string upstream;
};
struct RawPrice {
  ModelPrice price;
  std::string input, output, cached_input, cache_write;
};
struct RawModel {
  RawModel() { config.retry.max_retry_after_ms = kMaxRetryAfterMs; }
  ModelConfig config;
  std::string policy = "least_loaded";
  std::string cache = "auto";
  std::string over_budget = "refuse";
  std::string leak_check = "off";
};

config::Table<RawTop> top_table() {
  config::Table<RawTop> t;
  t.add("listen.host", "", WEIR_FIELD(RawTop, config.host), {});
  t.add("listen.port", "", WEIR_FIELD(RawTop, config.port), {.min = 0, .max = 65535});
  t.add("listen.tls_certificate", "", WEIR_FIELD(RawTop, config.tls.certificate), {});
  t.add("listen.tls_key", "", WEIR_FIELD(RawTop, config.tls.key), {});
  t.add("listen.tls_client_ca", "", WEIR_FIELD(RawTop, config.tls.client_ca), {});
  t.add("listen.max_connections", "", WEIR_FIELD(RawTop, config.limits.max_connections),
        {.min = 1, .max = 1e6});
  t.add("listen.max_body_bytes", "", WEIR_FIELD(RawTop, config.limits.body_bytes),
        {.min = 1024, .max = double{1U << 30}});
  t.add("listen.allow_remote_without_keys", "",
        WEIR_FIELD(RawTop, config.allow_remote_without_keys), {});
  t.add("admin.host", "", WEIR_FIELD(RawTop, config.admin_host), {});
  t.add("admin.port", "", WEIR_FIELD(RawTop, config.admin_port), {.min = -1, .max = 65535});
  t.add("admin.token_env", "", WEIR_FIELD(RawTop, admin_token.env), {});
  t.add("admin.token_file", "", WEIR_FIELD(RawTop, admin_token.file), {});
  t.add("region", "", WEIR_FIELD(RawTop, config.region), {});
  t.add("zone", "", WEIR_FIELD(RawTop, config.zone), {});
  t.add("keys_file", "", WEIR_FIELD(RawTop, config.keys_file), {});
  t.add("ledger.file", "", WEIR_FIELD(RawTop, config.ledger.path), {});
  t.add("ledger.max_rows", "", WEIR_FIELD(RawTop, config.ledger.max_rows), {.min = 1, .max = 1e9});
  t.add("ledger.max_age_days", "", WEIR_FIELD(RawTop, config.ledger.max_age_days),
        {.min = 1, .max = 36'500});
  t.add("cache.enabled", "", WEIR_FIELD(RawTop, config.answers.cache_enabled), {});
  t.add("cache.max_entries", "", WEIR_FIELD(RawTop, config.answers.cache.max_entries),
        {.min = 1, .max = 1e8});
  t.add("cache.max_bytes", "", WEIR_FIELD(RawTop, config.answers.cache.max_bytes),
        {.min = 1e4, .max = 1e12});
  t.add("cache.max_answer_bytes", "", WEIR_FIELD(RawTop, config.answers.cache.max_answer_bytes),
        {.min = 1024, .max = double{1U << 30}});
  t.add("cache.ttl_s", "", WEIR_FIELD(RawTop, cache_ttl_s), {.min = 1, .max = kYearS});
  t.add("cache.stale_s", "", WEIR_FIELD(RawTop, cache_stale_s), {.min = 0, .max = kYearS});
  t.add("cache.semantic.model", "", WEIR_FIELD(RawTop, config.answers.semantic_model), {});
  t.add("cache.semantic.tenants", "", WEIR_FIELD(RawTop, config.answers.semantic_tenants), {});
  t.add("cache.semantic.threshold", "", WEIR_FIELD(RawTop, config.answers.semantic.threshold),
        {.min = 0.5, .max = 1});
  t.add("cache.semantic.max_entries", "", WEIR_FIELD(RawTop, config.answers.semantic.max_entries),
        {.min = 1, .max = 1e7});
  t.add("idempotency.enabled", "", WEIR_FIELD(RawTop, config.answers.idempotency_enabled), {});
  t.add("idempotency.file", "", WEIR_FIELD(RawTop, config.answers.idempotency_file), {});
  t.add("idempotency.keep_hours", "", WEIR_FIELD(RawTop, idempotency_hours),
        {.min = 1, .max = 8760});
  t.add("idempotency.wait", "", WEIR_FIELD(RawTop, config.answers.idempotency.wait), {});
  t.add("idempotency.max_bytes", "", WEIR_FIELD(RawTop, config.answers.idempotency.max_bytes),
        {.min = 1e4, .max = 1e12});
  t.add("redaction.patterns", "", WEIR_FIELD(RawTop, config.redaction_patterns), {});
  t.add("error_budget", "", WEIR_FIELD(RawTop, config.error_budget), {.min = 1e-6, .max = 1});
  t.add("drain_timeout_s", "", WEIR_FIELD(RawTop, config.drain_timeout_s), {.min = 0, .max = 3600});
  return t;
}

void add_guard(config::Table<RawUpstream>& t) {
#define WEIR_GUARD(path) WEIR_FIELD(RawUpstream, config.guard.path)
  t.add("health.interval_ms", "", WEIR_GUARD(endpoint.health.interval_ms),
        {.min = 10, .max = kDayMs});
  t.add("health.fast_interval_ms", "", WEIR_GUARD(endpoint.health.fast_interval_ms),
        {.min = 10, .max = kDayMs});
  t.add("health.timeout_ms", "", WEIR_GUARD(endpoint.health.timeout_ms), {.min = 1, .max = 60'000});
  t.add("health.rise", "", WEIR_GUARD(endpoint.health.rise), {.min = 1, .max = 100});
  t.add("health.fall", "", WEIR_GUARD(endpoint.health.fall), {.min = 1, .max = 100});
  t.add("slow_start_ms", "", WEIR_GUARD(endpoint.slow_start.window_ms), {.min = 0, .max = kDayMs});
  t.add("panic_threshold", "", WEIR_GUARD(panic_threshold), {.min = 0, .max = 1});
  t.add("breaker.window_ms", "", WEIR_GUARD(endpoint.breaker.window_ms),
        {.min = 100, .max = 600'000});
  t.add("breaker.min_calls", "", WEIR_GUARD(endpoint.breaker.min_calls), {.min = 1, .max = 1e6});
  t.add("breaker.in_a_row", "", WEIR_GUARD(endpoint.breaker.in_a_row), {.min = 0, .max = 1e6});
  t.add("breaker.failure_rate", "", WEIR_GUARD(endpoint.breaker.failure_rate),
        {.min = 0.01, .max = 2});
  t.add("breaker.slow_ms", "", WEIR_GUARD(endpoint.breaker.slow_ms), {.min = 0, .max = kDayMs});
  t.add("breaker.slow_rate", "", WEIR_GUARD(endpoint.breaker.slow_rate), {.min = 0.01, .max = 2});
  t.add("breaker.open_ms", "", WEIR_GUARD(endpoint.breaker.open_ms), {.min = 1, .max = kDayMs});
  t.add("outlier.consecutive_failures", "", WEIR_GUARD(outlier.consecutive_failures),
        {.min = 0, .max = 1e6});
  t.add("outlier.max_ejected", "", WEIR_GUARD(outlier.max_ejected), {.min = 0, .max = 1});
  t.add("retry_budget.ratio", "", WEIR_GUARD(budget.ratio), {.min = 0, .max = 1});
  t.add("retry_budget.min_per_s", "", WEIR_GUARD(budget.min_per_s), {.min = 0, .max = 1000});
#undef WEIR_GUARD
}

config::Table<RawUpstream> upstream_table() {
  config::Table<RawUpstream> t;
  t.add("engine", "", WEIR_FIELD(RawUpstream, config.engine),
        {.choices = {"openai", "anthropic", "weir", "vllm", "sglang", "trtllm", "llamacpp",
                     "dynamo"}});
  t.add("key_env", "", WEIR_FIELD(RawUpstream, key.env), {});
  t.add("key_file", "", WEIR_FIELD(RawUpstream, key.file), {});
  t.add("ca_file", "", WEIR_FIELD(RawUpstream, config.ca_file), {});
  t.add("max_in_flight", "", WEIR_FIELD(RawUpstream, config.guard.endpoint.limit.max_limit),
        {.min = 1, .max = 1e6});
  t.add("adaptive_limit", "", WEIR_FIELD(RawUpstream, config.guard.endpoint.limit.adaptive), {});
  t.add("cache_tokens", "", WEIR_FIELD(RawUpstream, config.cache_tokens), {.min = 0, .max = 1e12});
  t.add("continue_by", "", WEIR_FIELD(RawUpstream, continue_by),
        {.choices = {"final_message", "prefill", "none"}});
  t.add("pass_anthropic_headers", "", WEIR_FIELD(RawUpstream, config.pass_anthropic_headers), {});
  t.add("health.path", "", WEIR_FIELD(RawUpstream, config.health_path), {});
  add_guard(t);
  return t;
}

config::Table<EndpointConfig> endpoint_table() {
  config::Table<EndpointConfig> t;
  t.add("url", "", WEIR_FIELD(EndpointConfig, url), {});
  t.add("region", "", WEIR_FIELD(EndpointConfig, region), {});
  t.add("zone", "", WEIR_FIELD(EndpointConfig, zone), {});
  t.add("weight", "", WEIR_FIELD(EndpointConfig, weight), {.min = 0.001, .max = 1000});
  return t;
}

config::Table<RawTarget> target_table() {
  config::Table<RawTarget> t;
  t.add("upstream", "", WEIR_FIELD(RawTarget, upstream), {});
  t.add("model", "", WEIR_FIELD(RawTarget, config.model), {});
  t.add("weight", "", WEIR_FIELD(RawTarget, config.weight), {.min = 0, .max = 1'000'000});
  t.add("tier", "", WEIR_FIELD(RawTarget, config.tier), {.min = 0, .max = 100});
  t.add("release", "", WEIR_FIELD(RawTarget, config.release), {});
  return t;
}

config::Table<RawModel> model_table() {
  config::Table<RawModel> t;
#define WEIR_MODEL(path) WEIR_FIELD(RawModel, config.path)
  t.add("policy", "", WEIR_FIELD(RawModel, policy),
        {.choices = {"round_robin", "random_two", "least_loaded", "cache_aware",
                     "session_affinity"}});
  t.add("beta", "", WEIR_MODEL(pick.beta), {.min = 0, .max = 100});
  t.add("failback_ms", "", WEIR_MODEL(failover.failback_ms), {.min = 0, .max = kDayMs});
  t.add("locality", "", WEIR_MODEL(failover.locality), {});
  t.add("timeouts.connect_ms", "", WEIR_MODEL(timeouts.connect_ms), {.min = 0, .max = kDayMs});
  t.add("timeouts.first_byte_ms", "", WEIR_MODEL(timeouts.first_byte_ms),
        {.min = 0, .max = kDayMs});
  t.add("timeouts.idle_ms", "", WEIR_MODEL(timeouts.idle_ms), {.min = 0, .max = kDayMs});
  t.add("timeouts.total_ms", "", WEIR_MODEL(timeouts.total_ms), {.min = 0, .max = kDayMs});
  t.add("retries.max_attempts", "", WEIR_MODEL(retry.max_attempts), {.min = 1, .max = 10});
  t.add("retries.backoff_ms", "", WEIR_MODEL(retry.backoff_ms), {.min = 0, .max = 60'000});
  t.add("retries.backoff_max_ms", "", WEIR_MODEL(retry.backoff_max_ms), {.min = 0, .max = 600'000});
  t.add("retries.max_retry_after_ms", "", WEIR_MODEL(retry.max_retry_after_ms),
        {.min = 0, .max = 600'000});
  t.add("slo.first_byte_ms", "", WEIR_MODEL(slo_first_byte_ms), {.min = 0, .max = kDayMs});
  t.add("retries.rerun_generation", "", WEIR_MODEL(retry.rerun_generation), {});
  t.add("shed.max_in_flight", "", WEIR_MODEL(shed.max_in_flight), {.min = 1, .max = 1e6});
  t.add("shed.max_queued", "", WEIR_MODEL(shed.max_queued), {.min = 0, .max = 1e6});
  t.add("shed.max_wait_ms", "", WEIR_MODEL(shed.max_wait_ms), {.min = 1, .max = 600'000});
  t.add("retries.continue_streams", "", WEIR_MODEL(retry.continue_streams), {});
  t.add("retries.max_continuations", "", WEIR_MODEL(retry.max_continuations), {.min = 0, .max = 5});
  t.add("hedge.enabled", "", WEIR_MODEL(hedge.enabled), {});
  t.add("hedge.budget_ratio", "", WEIR_MODEL(hedge.budget_ratio), {.min = 0, .max = 1});
  t.add("hedge.quantile", "", WEIR_MODEL(hedge.quantile), {.min = 0.5, .max = 0.999});
  t.add("hedge.min_samples", "", WEIR_MODEL(hedge.min_samples), {.min = 1, .max = 1e6});
  t.add("cache", "", WEIR_FIELD(RawModel, cache), {.choices = {"off", "auto", "always"}});
  t.add("cache_ttl_s", "", WEIR_MODEL(cache_ttl_s), {.min = 0, .max = kYearS});
  t.add("cache_tags", "", WEIR_MODEL(cache_tags), {});
  t.add("max_input_tokens", "", WEIR_MODEL(prompt_budget.max_input_tokens), {.min = 0, .max = 1e9});
  t.add("over_budget", "", WEIR_FIELD(RawModel, over_budget),
        {.choices = {"refuse", "truncate", "compress"}});
  t.add("redact", "", WEIR_MODEL(redact), {});
  t.add("leak_check", "", WEIR_FIELD(RawModel, leak_check), {.choices = {"off", "log", "block"}});
#undef WEIR_MODEL
  return t;
}

config::Table<RawPrice> price_table() {
  config::Table<RawPrice> t;
  t.add("upstream", "", WEIR_FIELD(RawPrice, price.upstream), {});
  t.add("model", "", WEIR_FIELD(RawPrice, price.model), {});
  t.add("input", "", WEIR_FIELD(RawPrice, input), {});
  t.add("cached_input", "", WEIR_FIELD(RawPrice, cached_input), {});
  t.add("cache_write", "", WEIR_FIELD(RawPrice, cache_write), {});
  t.add("output", "", WEIR_FIELD(RawPrice, output), {});
  t.add("currency", "", WEIR_FIELD(RawPrice, price.currency), {});
  t.add("source", "", WEIR_FIELD(RawPrice, price.source), {});
  t.add("date", "", WEIR_FIELD(RawPrice, price.date), {});
  t.add("review_by", "", WEIR_FIELD(RawPrice, price.review_by), {});
  return t;
}

// Letters, digits and "-_.:/@": names appear in metrics, logs and headers.
bool is_name(std::string_view text) {
  constexpr std::string_view kOther = "-_.:/@";
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  kOther.find(c) != std::string_view::npos;
         });
}

class Reader {
 public:
  Reader(const std::string& name, const Environment& environment)
      : name_(name), environment_(environment) {}

  Result<GatewayConfig> read(const Node& file) {
    if (file.kind != Node::Kind::kMap)
      return wrong(file.line, "must be a map with upstreams: and models:");
    WEIR_ASSIGN(RawTop top,
                fields(top_table(), file, {"upstreams", "models", "prices", "priorities"}));
    config_ = std::move(top.config);
    config_.answers.semantic.ttl_ns = top.cache_ttl_s * kNsPerS;
    config_.answers.cache.ttl_ns = top.cache_ttl_s * kNsPerS;
    config_.answers.cache.stale_ns = top.cache_stale_s * kNsPerS;
    config_.answers.idempotency.keep_ms = top.idempotency_hours * kMsPerHour;
    WEIR_ASSIGN(config_.admin_token, secret(top.admin_token, "admin.token", file.line));
    if (config_.admin_port >= 0 && config_.admin_token.empty())
      return wrong(file.line,
                   "the admin listener needs a token: give admin.token_file or "
                   "admin.token_env, or leave admin.port out");
    WEIR_TRY(read_upstreams(file.find("upstreams"), file.line));
    WEIR_TRY(read_models(file.find("models"), file.line));
    WEIR_TRY(check_semantic(file));
    if (const Node* prices = file.find("prices")) WEIR_TRY(read_prices(*prices));
    if (const Node* given = file.find("priorities")) {
      WEIR_ASSIGN(config_.priorities, read_priorities(*given, name_));
    }
    return std::move(config_);
  }

 private:
  Error wrong(int line, const std::string& what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, std::max(line, 1), what);
  }

  // Whether each member is a key, a section of keys or read apart.
  Status known(const std::vector<config::Key>& keys, const Node& node,
               std::initializer_list<std::string_view> apart) const {
    std::vector<std::string> names(apart.begin(), apart.end());
    for (const config::Key& k : keys) names.push_back(k.path.substr(0, k.path.find('.')));
    for (const config::Member& m : node.members) {
      if (std::find(names.begin(), names.end(), m.key) != names.end()) continue;
      return wrong(m.line,
                   fmt::format("unknown key \"{}\"; the nearest is \"{}\"", m.key.substr(0, 100),
                               config::nearest(m.key, std::span<const std::string>(names))));
    }
    return {};
  }

  // Those of `node` but for the members that are read apart.
  template <typename T>
  Result<T> fields(const config::Table<T>& table, const Node& node,
                   std::initializer_list<std::string_view> apart = {}) const {
    WEIR_TRY(known(table.keys(), node, apart));
    config::Sources sources;
    sources.file_name = name_;
    sources.file = node;
    std::erase_if(sources.file.members, [&](const config::Member& m) {
      return std::find(apart.begin(), apart.end(), m.key) != apart.end();
    });
    WEIR_ASSIGN(const config::Settings s, config::Settings::resolve(table.keys(), sources));
    return table.make(s);
  }

  Result<std::string> secret(const RawSecret& raw, std::string_view what, int line) const {
    if (!raw.env.empty() && !raw.file.empty())
      return wrong(line, fmt::format("{0}_env and {0}_file exclude each other", what));
    std::string text;
    if (!raw.env.empty()) {
      const auto value = environment_ ? environment_(raw.env) : std::nullopt;
      if (!value.has_value() || value->empty())
        return wrong(line, fmt::format("{}_env: the variable {} is not set", what, raw.env));
      text = *value;
    } else if (!raw.file.empty()) {
      const std::string weak = access::weak_permissions(raw.file);
      if (!weak.empty())
        return make_error(ErrorCode::kUsage, "{}: it holds a secret and {}; chmod 600 it", raw.file,
                          weak);
      auto read = os::read_file(raw.file, kMaxSecretBytes);
      if (!read.ok()) return read.error().with_context(fmt::format("{}_file", what));
      text = std::move(*read);
      while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
      if (text.empty()) return wrong(line, fmt::format("{}_file: {} is empty", what, raw.file));
    }
    const bool printable =
        std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
    if (!printable)
      return wrong(line, fmt::format("{}: a space or a character beyond ASCII", what));
    return text;
  }

  Status check_semantic(const Node& file) const {
    const AnswerStoreConfig& a = config_.answers;
    if (a.semantic_model.empty()) return {};
    const int line = file.find("cache")->line;
    if (!a.cache_enabled) return wrong(line, "cache.semantic needs cache.enabled: true beside it");
    if (a.semantic_tenants.empty())
      return wrong(line,
                   "cache.semantic.tenants: name whose questions may be answered by the answer to "
                   "another one, or \"*\" for everybody");
    const bool known =
        std::any_of(config_.models.begin(), config_.models.end(),
                    [&](const ModelConfig& m) { return m.name == a.semantic_model; });
    if (!known)
      return wrong(line, fmt::format("cache.semantic.model: there is no model \"{}\" in models:",
                                     a.semantic_model));
    return {};
  }

  Status read_upstreams(const Node* node, int line) {
    if (node == nullptr || node->kind != Node::Kind::kMap || node->members.empty())
      return wrong(node == nullptr ? line : node->line,
                   "upstreams must be a map of names, with one at least");
    if (node->members.size() > kMaxUpstreams)
      return wrong(node->line, fmt::format("more than {} upstreams", kMaxUpstreams));
    const auto table = upstream_table();
    for (const config::Member& m : node->members) {
      if (!is_name(m.key)) return wrong(m.line, bad_name("an upstream"));
      WEIR_ASSIGN(RawUpstream raw, fields(table, m.value, {"endpoints"}));
      UpstreamConfig u = std::move(raw.config);
      u.name = m.key;
      u.line = m.line;
      if (u.engine == "anthropic") u.protocol = Protocol::kAnthropic;
      u.continue_by = continue_style_of(raw.continue_by).value_or(default_continue_style(u.engine));
      WEIR_ASSIGN(u.key, secret(raw.key, "key", m.line));
      WEIR_TRY(read_endpoints(m.value.find("endpoints"), m.line, u));
      config_.upstreams.push_back(std::move(u));
    }
    return {};
  }

  Status read_endpoints(const Node* node, int line, UpstreamConfig& u) {
    if (node == nullptr || node->kind != Node::Kind::kList || node->items.empty())
      return wrong(line, fmt::format("upstreams.{}: endpoints must be a list of URLs, with one at "
                                     "least, as [\"http://127.0.0.1:8080\"]",
                                     u.name));
    const auto table = endpoint_table();
    for (const Node& item : node->items) {
      EndpointConfig e;
      if (item.kind == Node::Kind::kScalar) {
        e.url = item.text;
      } else {
        WEIR_ASSIGN(e, fields(table, item));
      }
      auto url = http::parse_http_or_https_url(e.url);
      if (!url.ok()) return wrong(item.line, url.error().message);
      e.to = *url;
      if (!urls_.insert(u.name + ' ' + e.to.authority() + e.to.path).second)
        return wrong(item.line, fmt::format("{} stands twice", e.url));
      u.endpoints.push_back(std::move(e));
    }
    if (urls_.size() > kMaxEndpoints)
      return wrong(node->line, fmt::format("more than {} endpoints", kMaxEndpoints));
    return {};
  }

  Status read_models(const Node* node, int line) {
    if (node == nullptr || node->kind != Node::Kind::kMap || node->members.empty())
      return wrong(node == nullptr ? line : node->line,
                   "models must be a map of names, with one at least");
    if (node->members.size() > kMaxModels)
      return wrong(node->line, fmt::format("more than {} models", kMaxModels));
    const auto table = model_table();
    for (const config::Member& m : node->members) {
      if (!is_name(m.key)) return wrong(m.line, bad_name("a model"));
      WEIR_ASSIGN(RawModel raw, fields(table, m.value, {"targets"}));
      ModelConfig model = std::move(raw.config);
      model.cache = raw.cache == "off"      ? CacheMode::kOff
                    : raw.cache == "always" ? CacheMode::kAlways
                                            : CacheMode::kAuto;
      model.prompt_budget.action = raw.over_budget == "truncate"   ? PromptAction::kTruncate
                                   : raw.over_budget == "compress" ? PromptAction::kCompress
                                                                   : PromptAction::kRefuse;
      model.leak_check = raw.leak_check == "log"     ? LeakCheck::kLog
                         : raw.leak_check == "block" ? LeakCheck::kBlock
                                                     : LeakCheck::kOff;
      model.pick.policy = pick_policy_of(raw.policy).value_or(PickPolicy::kLeastLoaded);
      model.pick.attempts = kMaxAttempts;
      model.name = m.key;
      model.line = m.line;
      WEIR_TRY(read_targets(m.value.find("targets"), m.line, model));
      config_.models.push_back(std::move(model));
    }
    return {};
  }

  Status read_targets(const Node* node, int line, ModelConfig& model) {
    if (node == nullptr || node->kind != Node::Kind::kList || node->items.empty() ||
        node->items.size() > kMaxTargets)
      return wrong(line, fmt::format("models.{}: targets must be a list of 1 to {}, as "
                                     "[{{upstream: NAME}}]",
                                     model.name, kMaxTargets));
    const auto table = target_table();
    for (const Node& item : node->items) {
      WEIR_ASSIGN(RawTarget raw, fields(table, item));
      TargetConfig t = std::move(raw.config);
      const auto found =
          std::find_if(config_.upstreams.begin(), config_.upstreams.end(),
                       [&](const UpstreamConfig& u) { return u.name == raw.upstream; });
      if (found == config_.upstreams.end()) return wrong(item.line, unknown_upstream(raw.upstream));
      t.upstream = static_cast<size_t>(found - config_.upstreams.begin());
      if (t.release.empty()) t.release = found->name;
      for (const TargetConfig& other : model.targets) {
        if (other.upstream == t.upstream && other.release == t.release)
          return wrong(item.line, fmt::format("upstream {} stands twice with the release {}",
                                              raw.upstream, t.release));
      }
      model.targets.push_back(std::move(t));
    }
    const bool any = std::any_of(model.targets.begin(), model.targets.end(),
                                 [](const TargetConfig& t) { return t.weight > 0; });
    if (!any) return wrong(line, fmt::format("models.{}: every target has weight 0", model.name));
    return {};
  }

  // Prices of a million tokens, as decimals.
  Status read_prices(const Node& node) {
    if (node.kind != Node::Kind::kList) return wrong(node.line, "prices must be a list");
    const auto table = price_table();
    std::vector<ModelPrice> prices;
    for (const Node& item : node.items) {
      WEIR_ASSIGN(RawPrice raw, fields(table, item));
      ModelPrice price = std::move(raw.price);
      const auto money = [&](const std::string& text, std::string_view what) -> Result<int64_t> {
        auto value = parse_money(text);
        if (!value.ok())
          return wrong(item.line, fmt::format("{}: {}", what, value.error().message));
        return value;
      };
      WEIR_ASSIGN(price.input, money(raw.input, "input"));
      WEIR_ASSIGN(price.output, money(raw.output, "output"));
      if (!raw.cached_input.empty()) {
        WEIR_ASSIGN(price.cached_input, money(raw.cached_input, "cached_input"));
      }
      if (!raw.cache_write.empty()) {
        WEIR_ASSIGN(price.cache_write, money(raw.cache_write, "cache_write"));
      }
      prices.push_back(std::move(price));
    }
    auto made = PriceTable::make(std::move(prices));
    if (!made.ok()) return wrong(node.line, made.error().message);
    config_.prices = std::move(*made);
    config_.ledger.currency = config_.prices.currency();
    return {};
  }

  std::string unknown_upstream(const std::string& given) const {
    std::vector<std::string> names;
    names.reserve(config_.upstreams.size());
    for (const UpstreamConfig& u : config_.upstreams) names.push_back(u.name);
    return fmt::format("upstream \"{}\" is not under upstreams; the nearest is \"{}\"",
                       given.substr(0, 100),
                       config::nearest(given, std::span<const std::string>(names)));
  }
  static std::string bad_name(std::string_view what) {
    return fmt::format("the name of {} has 1 to {} letters, digits and - _ . : / @", what,
                       kMaxNameBytes);
  }

  const std::string& name_;
  const Environment& environment_;
  GatewayConfig config_;
  std::set<std::string> urls_;
};

}  // namespace

Result<GatewayConfig> parse_gateway_config(const Node& file, const std::string& name,
                                           const Environment& environment) {
  return Reader(name, environment).read(file);
}

Result<GatewayConfig> read_gateway_config(const std::string& path, const Environment& environment) {
  WEIR_ASSIGN(const Node file, config::read_yaml(path));
  return parse_gateway_config(file, path, environment);
}

std::string describe(const GatewayConfig& c) {
  std::string out = fmt::format("listens on {}:{}\n", c.host, c.port);
  for (const ModelConfig& m : c.models) {
    out += fmt::format("{}  ({})\n", m.name, pick_policy_name(m.pick.policy));
    for (const TargetConfig& t : m.targets) {
      const UpstreamConfig& u = c.upstreams[t.upstream];
      out += fmt::format("  tier {}  weight {:>3}  {} ({}, {} endpoint{})  model {}\n", t.tier,
                         t.weight, u.name, u.engine, u.endpoints.size(),
                         u.endpoints.size() == 1 ? "" : "s", t.model.empty() ? m.name : t.model);
    }
  }
  return out;
}

}  // namespace weir::gateway
