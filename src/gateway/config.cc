#include "gateway/config.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/units.h"
#include "gateway/config_keys.h"
#include "gateway/config_names.h"
#include "gateway/config_quotas.h"
#include "gateway/config_reader.h"
#include "gateway/release_shares.h"
#include "http/url.h"
#include "telemetry/scrubber.h"

namespace weir::gateway {
namespace {

using config::Node;

constexpr size_t kMaxModels = 10'000;
constexpr size_t kMaxTargets = 100;  // of a model
constexpr double kYearS = 366 * 86'400;
// Beside the keys of the tables: what has a reader of its own.
constexpr std::string_view kTopApart[] = {"upstreams",      "models", "prices",     "quotas",
                                          "quota_estimate", "state",  "priorities", "rules"};
constexpr std::string_view kModelApart[] = {"targets", "rules", "cascade", "difficulty", "shadow"};

// What stands in the file and not, as it is, in the configuration.
struct RawTop {
  GatewayConfig config;
  int64_t cache_ttl_s = 3600;
  int64_t cache_stale_s = 0;
  int64_t idempotency_hours = 24;
  RawSecret admin_token;
};
struct RawTarget {
  TargetConfig config;
  std::string upstream;
};
struct RawModel {
  RawModel() { config.retry.max_retry_after_ms = kMaxRetryAfterMs; }
  ModelConfig config;
  std::string policy = "least_loaded";
  std::string cache{name_of(CacheMode::kAuto)};
  std::string over_budget{name_of(PromptAction::kRefuse)};
  std::string leak_check{name_of(LeakCheck::kOff)};
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
  t.add("trusted_picker", "", WEIR_FIELD(RawTop, config.trusted_picker), {});
  t.add("error_budget", "", WEIR_FIELD(RawTop, config.error_budget), {.min = 1e-6, .max = 1});
  t.add("drain_timeout_s", "", WEIR_FIELD(RawTop, config.drain_timeout_s), {.min = 0, .max = 3600});
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
  t.add("cache", "", WEIR_FIELD(RawModel, cache), {.choices = choices_of<CacheMode>()});
  t.add("cache_ttl_s", "", WEIR_MODEL(cache_ttl_s), {.min = 0, .max = kYearS});
  t.add("cache_tags", "", WEIR_MODEL(cache_tags), {});
  t.add("max_input_tokens", "", WEIR_MODEL(prompt_budget.max_input_tokens), {.min = 0, .max = 1e9});
  t.add("over_budget", "", WEIR_FIELD(RawModel, over_budget),
        {.choices = choices_of<PromptAction>()});
  t.add("redact", "", WEIR_MODEL(redact), {});
  t.add("leak_check", "", WEIR_FIELD(RawModel, leak_check), {.choices = choices_of<LeakCheck>()});
#undef WEIR_MODEL
  return t;
}

class Reader : private ConfigReader {
 public:
  using ConfigReader::ConfigReader;

  // What is wrong is noted; only a configuration of which nothing is may be used.
  GatewayConfig read(const Node& file) {
    if (file.kind != Node::Kind::kMap) {
      wrong(file.line, "must be a map with upstreams: and models:");
      return {};
    }
    read_head(file);
    if (const Node* given = file.find("priorities"))
      config_.priorities = read_priorities(*this, *given);
    config_.upstreams = read_upstreams(*this, file.find("upstreams"), file.line);
    if (config_.upstreams.empty()) return {};  // all that follows is of them
    if (const Node* prices = file.find("prices")) read_prices(*this, *prices, config_);
    read_models(file.find("models"), file.line);
    if (config_.models.empty()) return {};
    (void)check_semantic(file);
    read_routing(*this, file, config_);
    read_quotas(*this, file, config_);
    return std::move(config_);
  }

 private:
  // Where a key is wrong, what keys mean together is not judged.
  void read_head(const Node& file) {
    Status good;
    RawTop top = fields_or_defaults(top_table(), file, kTopApart, good);
    if (!good.ok()) set_broken(kHead);
    config_ = std::move(top.config);
    config_.name = name();
    config_.host_line = line_of(file, "listen.host");
    config_.answers.semantic.ttl_ns = top.cache_ttl_s * kNsPerS;
    config_.answers.cache.ttl_ns = top.cache_ttl_s * kNsPerS;
    config_.answers.cache.stale_ns = top.cache_stale_s * kNsPerS;
    config_.answers.idempotency.keep_ms = top.idempotency_hours * kMsPerHour;
    if (auto made = telemetry::Scrubber::make(config_.redaction_patterns); made.ok())
      config_.redactor = std::make_shared<const telemetry::Scrubber>(std::move(*made));
    else
      wrong(line_of(file, "redaction.patterns"), "redaction.patterns: " + made.error().message);
    find_files(file);
    if (const Node* admin = file.find("admin")) (void)read_admin(top.admin_token, *admin);
  }

  Status read_admin(const RawSecret& token, const Node& admin) {
    WEIR_ASSIGN(config_.admin_token, secret(token, "admin.token", admin));
    if (is_broken(kHead)) return {};
    WEIR_TRY(check_ports(line_of(admin, "port")));
    if (config_.admin_port < 0 || !config_.admin_token.empty()) return {};
    return wrong(line_of(admin, "port"),
                 "the admin listener needs a token: give admin.token_file or admin.token_env, or "
                 "leave admin.port out");
  }

  // Otherwise a start says that somebody else has taken the port.
  Status check_ports(int line) const {
    if (config_.admin_port <= 0 || config_.admin_port != config_.port) return {};
    const std::string& a = config_.host;
    const std::string& b = config_.admin_host;
    const auto every = [](const std::string& host) { return host == "0.0.0.0" || host == "::"; };
    const bool same_family =
        (a.find(':') == std::string::npos) == (b.find(':') == std::string::npos);
    const bool by_name = a == "localhost" || b == "localhost";
    if (a != b && !(same_family && (every(a) || every(b))) &&
        !(by_name && http::is_loopback(a) && http::is_loopback(b)))
      return {};
    return wrong(line, fmt::format("admin.port: {} is listen.port as well; give the admin listener "
                                   "another port",
                                   config_.admin_port));
  }

  void find_files(const Node& top) {
    const std::pair<std::string_view, std::string*> named[] = {
        {"listen.tls_certificate", &config_.tls.certificate},
        {"listen.tls_key", &config_.tls.key},
        {"listen.tls_client_ca", &config_.tls.client_ca},
        {"keys_file", &config_.keys_file},
        {"ledger.file", &config_.ledger.path},
        {"idempotency.file", &config_.answers.idempotency_file}};
    for (const auto& [key, path] : named) *path = file(key, *path, line_of(top, key));
  }

  Status check_semantic(const Node& file) const {
    const AnswerStoreConfig& a = config_.answers;
    if (a.semantic_model.empty() || is_broken(kHead)) return {};
    const int line = line_of(file, "cache.semantic.model");
    if (!a.cache_enabled) return wrong(line, "cache.semantic needs cache.enabled: true beside it");
    if (a.semantic_tenants.empty())
      return wrong(line_of(file, "cache.semantic.tenants"),
                   "cache.semantic.tenants: name whose questions may be answered by the answer to "
                   "another one, or \"*\" for everybody");
    const auto found =
        std::find_if(config_.models.begin(), config_.models.end(),
                     [&](const ModelConfig& m) { return m.name == a.semantic_model; });
    if (found == config_.models.end())
      return wrong(line, fmt::format("cache.semantic.model: there is no model \"{}\" in models:",
                                     a.semantic_model));
    if (found->targets.empty() && !is_broken("models." + found->name))
      return wrong(line, fmt::format("cache.semantic.model: {} has no targets; name a model that "
                                     "has",
                                     a.semantic_model));
    return {};
  }

  // None: there are none that could be read. One that is broken is there with its name.
  void read_models(const Node* node, int line) {
    if (node == nullptr || node->kind != Node::Kind::kMap || node->members.empty()) {
      wrong(node == nullptr ? line : node->line,
            "models must be a map of names, with one at least");
      return;
    }
    if (node->members.size() > kMaxModels) {
      wrong(node->line, fmt::format("more than {} models", kMaxModels));
      return;
    }
    const auto table = model_table();
    for (const config::Member& m : node->members) {
      auto model = read_model(m, table);
      if (model.ok()) {
        config_.models.push_back(std::move(*model));
      } else {
        config_.models.emplace_back().name = m.key;
        set_broken("models." + m.key);
      }
    }
  }

  Result<ModelConfig> read_model(const config::Member& m, const config::Table<RawModel>& table) {
    if (!is_name(m.key)) return wrong(m.line, bad_name("a model"));
    WEIR_ASSIGN(RawModel raw, fields(table, m.value, kModelApart));
    ModelConfig model = std::move(raw.config);
    model.cache = value_of<CacheMode>(raw.cache);
    model.prompt_budget.action = value_of<PromptAction>(raw.over_budget);
    model.leak_check = value_of<LeakCheck>(raw.leak_check);
    model.pick.policy = pick_policy_of(raw.policy).value_or(PickPolicy::kLeastLoaded);
    model.pick.attempts = kMaxAttempts;
    model.pick.max_signal_age_ms = INT32_MAX;  // the upstream's metrics.stale_after decides
    model.name = m.key;
    model.line = m.line;
    if (has_targets(m.value)) WEIR_TRY(read_targets(m.value.find("targets"), m.line, model));
    return model;
  }

  // Error: the last mistake of the targets.
  Status read_targets(const Node* node, int line, ModelConfig& model) {
    if (node == nullptr || node->kind != Node::Kind::kList || node->items.empty() ||
        node->items.size() > kMaxTargets)
      return wrong(line, fmt::format("models.{}: targets must be a list of 1 to {}, as "
                                     "[{{upstream: NAME}}]",
                                     model.name, kMaxTargets));
    const auto table = target_table();
    Status good;
    for (const Node& item : node->items) {
      auto target = read_target(item, table, model);
      if (target.ok()) {
        model.targets.push_back(std::move(*target));
      } else {
        good = target.error();
      }
    }
    WEIR_TRY(good);
    const bool any = std::any_of(model.targets.begin(), model.targets.end(),
                                 [](const TargetConfig& t) { return t.weight > 0; });
    if (!any) return wrong(line, fmt::format("models.{}: every target has weight 0", model.name));
    return check_shares(*node, model);
  }

  // model: with the targets before it.
  Result<TargetConfig> read_target(const Node& item, const config::Table<RawTarget>& table,
                                   const ModelConfig& model) const {
    WEIR_ASSIGN(RawTarget raw, fields(table, item));
    TargetConfig t = std::move(raw.config);
    const auto found =
        std::find_if(config_.upstreams.begin(), config_.upstreams.end(),
                     [&](const UpstreamConfig& u) { return u.name == raw.upstream; });
    if (found == config_.upstreams.end())
      return wrong(line_of(item, "upstream"), unknown_upstream(raw.upstream));
    t.upstream = static_cast<size_t>(found - config_.upstreams.begin());
    t.upstream_name = found->name;
    if (t.release.empty()) t.release = found->name;
    if (t.model.empty()) t.model = model.name;
    for (const TargetConfig& other : model.targets) {
      if (other.upstream == t.upstream && other.release == t.release)
        return wrong(item.line, fmt::format("upstream {} stands twice with the release {}",
                                            raw.upstream, t.release));
    }
    return t;
  }

  // Nobody would notice that a canary gets nothing.
  Status check_shares(const Node& targets, const ModelConfig& model) const {
    const std::vector<ReleaseShare> shares = release_shares(model);
    const int32_t lowest = lowest_tier(model);
    int64_t sum = 0;
    for (const ReleaseShare& s : shares) sum += s.weight;
    for (const ReleaseShare& s : shares) {
      if (s.weight == 0 || s.percent > 0) continue;
      const auto of_it = [&](const TargetConfig& t) {
        return t.tier == lowest && t.release == s.release && t.weight > 0;
      };
      const auto at = std::find_if(model.targets.begin(), model.targets.end(), of_it);
      return wrong(
          targets.items[static_cast<size_t>(at - model.targets.begin())].line,
          fmt::format("models.{}: release {} has weight {} of {}, which is 0 % and gets no "
                      "request: releases share in whole per cents; give it a hundredth of "
                      "the weights at least, or 0 to leave it out",
                      model.name, s.release, s.weight, sum));
    }
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

  GatewayConfig config_;
};

}  // namespace

void list_top_keys(FileKeys& out) {
  list_keys("", top_table().keys(), kTopApart, out);
  list_keys("models.NAME.", model_table().keys(), kModelApart, out);
  list_keys("models.NAME.targets[].", target_table().keys(), {}, out);
  list_price_keys(out);
}

std::optional<GatewayConfig> parse_gateway_config(const Node& file, const Environment& environment,
                                                  config::Problems& problems) {
  Reading reading(problems);
  GatewayConfig config = Reader(environment, reading).read(file);
  if (!problems.empty()) return std::nullopt;
  config.files = std::move(reading.files);
  return config;
}

std::optional<GatewayConfig> read_gateway_config(const Environment& environment,
                                                 config::Problems& problems) {
  const auto file = config::read_yaml(problems.file());
  if (file.ok()) return parse_gateway_config(*file, environment, problems);
  problems.add(file.error());
  return std::nullopt;
}

Result<GatewayConfig> parse_gateway_config(const Node& file, const std::string& name,
                                           const Environment& environment) {
  config::Problems problems(name);
  auto config = parse_gateway_config(file, environment, problems);
  if (!config.has_value()) return problems.error();
  return std::move(*config);
}

Result<GatewayConfig> read_gateway_config(const std::string& path, const Environment& environment) {
  config::Problems problems(path);
  auto config = read_gateway_config(environment, problems);
  if (!config.has_value()) return problems.error();
  return std::move(*config);
}

namespace {

// Files of these are opened once.
constexpr std::string_view kStartSections[] = {"listen.", "admin.",       "ledger.",
                                               "state.",  "idempotency.", "cache."};

}  // namespace

std::vector<std::string> needs_restart(const GatewayConfig& now, const GatewayConfig& next) {
  std::vector<std::string> out;
  const auto note = [&](const char* key, const auto& a, const auto& b) {
    if (!(a == b)) out.emplace_back(key);
  };
  note("listen.host", now.host, next.host);
  note("listen.port", now.port, next.port);
  note("listen.tls_*", now.tls, next.tls);
  note("listen.max_connections", now.limits.max_connections, next.limits.max_connections);
  note("listen.max_body_bytes", now.limits.body_bytes, next.limits.body_bytes);
  note("admin.host", now.admin_host, next.admin_host);
  note("admin.port", now.admin_port, next.admin_port);
  note("admin.token_*", now.admin_token, next.admin_token);
  note("ledger.file", now.ledger.path, next.ledger.path);
  note("ledger.max_rows", now.ledger.max_rows, next.ledger.max_rows);
  note("ledger.max_age_days", now.ledger.max_age_days, next.ledger.max_age_days);
  note("prices: currency", now.ledger.currency, next.ledger.currency);
  note("drain_timeout_s", now.drain_timeout_s, next.drain_timeout_s);
  note("cache or idempotency", now.answers, next.answers);
  note("state", now.quotas.store_name(), next.quotas.store_name());
  return out;
}

GatewayConfig in_force(const GatewayConfig& started, GatewayConfig adopted) {
  adopted.host = started.host;
  adopted.port = started.port;
  adopted.tls = started.tls;
  adopted.limits.max_connections = started.limits.max_connections;
  adopted.limits.body_bytes = started.limits.body_bytes;
  adopted.admin_host = started.admin_host;
  adopted.admin_port = started.admin_port;
  adopted.admin_token = started.admin_token;
  adopted.ledger = started.ledger;
  adopted.drain_timeout_s = started.drain_timeout_s;
  adopted.answers = started.answers;
  adopted.quotas.memory = started.quotas.memory;
  adopted.quotas.redis = started.quotas.redis;
  adopted.quotas.redis_tls = started.quotas.redis_tls;
  adopted.quotas.warnings = started.quotas.warnings;
  const auto of_start = [](const NamedFile& f) {
    return std::any_of(std::begin(kStartSections), std::end(kStartSections),
                       [&](std::string_view section) { return f.key.starts_with(section); });
  };
  std::erase_if(adopted.files, of_start);
  std::copy_if(started.files.begin(), started.files.end(), std::back_inserter(adopted.files),
               of_start);
  return adopted;
}

}  // namespace weir::gateway
