#include "gateway/config_quotas.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "gateway/config_keys.h"
#include "gateway/config_reader.h"

namespace weir::gateway {
namespace {

using config::Node;

constexpr QuotaMetric kMetrics[] = {QuotaMetric::kRequests, QuotaMetric::kInputTokens,
                                    QuotaMetric::kOutputTokens, QuotaMetric::kTotalTokens,
                                    QuotaMetric::kMoney};
constexpr std::string_view kMetricNames[] = {"requests", "input_tokens", "output_tokens",
                                             "total_tokens", "money"};
constexpr std::string_view kWindowNames[] = {"minute", "day", "month"};  // as QuotaWindow
constexpr std::string_view kFailOpen = "fail_open";
constexpr std::string_view kPlainScheme = "redis://";
constexpr std::string_view kTlsScheme = "rediss://";
constexpr int64_t kMostTokens = 10'000'000;  // of an answer

struct RawRule {
  QuotaRule rule;
  std::string metric, window, limit, currency;
};
struct RawState {
  std::string sqlite;
  RedisQuotaOptions redis;
  std::string url, ca;
  RawSecret password;
  std::string on_failure = "fail_closed";
  int32_t timeout_ms = 200;
};

config::Table<RawRule> rule_table() {
  config::Table<RawRule> t;
  t.add("name", "", WEIR_FIELD(RawRule, rule.name), {});
  t.add("tenant", "", WEIR_FIELD(RawRule, rule.tenant), {});
  t.add("key", "", WEIR_FIELD(RawRule, rule.key), {});
  t.add("model", "", WEIR_FIELD(RawRule, rule.model), {});
  t.add("metric", "", WEIR_FIELD(RawRule, metric),
        {.choices = {std::begin(kMetricNames), std::end(kMetricNames)}});
  t.add("window", "", WEIR_FIELD(RawRule, window),
        {.choices = {std::begin(kWindowNames), std::end(kWindowNames)}});
  t.add("limit", "", WEIR_FIELD(RawRule, limit), {});
  t.add("currency", "", WEIR_FIELD(RawRule, currency), {});
  return t;
}

config::Table<RawState> state_table() {
  config::Table<RawState> t;
  t.add("sqlite", "", WEIR_FIELD(RawState, sqlite), {});
  t.add("redis.url", "", WEIR_FIELD(RawState, url), {});
  t.add("redis.ca", "", WEIR_FIELD(RawState, ca), {});
  t.add("redis.host", "", WEIR_FIELD(RawState, redis.address.host), {});
  t.add("redis.port", "", WEIR_FIELD(RawState, redis.address.port), {.min = 1, .max = 65'535});
  t.add("redis.database", "", WEIR_FIELD(RawState, redis.address.database),
        {.min = 0, .max = 65'535});
  t.add("redis.username", "", WEIR_FIELD(RawState, redis.address.username), {});
  t.add("redis.password_env", "", WEIR_FIELD(RawState, password.env), {});
  t.add("redis.password_file", "", WEIR_FIELD(RawState, password.file), {});
  t.add("redis.prefix", "", WEIR_FIELD(RawState, redis.prefix), {});
  t.add("redis.on_failure", "", WEIR_FIELD(RawState, on_failure),
        {.choices = {kFailOpen, "fail_closed"}});
  t.add("redis.timeout_ms", "", WEIR_FIELD(RawState, timeout_ms), {.min = 1, .max = 10'000});
  return t;
}

config::Table<QuotaEstimateConfig> estimate_table() {
  config::Table<QuotaEstimateConfig> t;
  t.add("output_tokens", "", WEIR_FIELD(QuotaEstimateConfig, output_tokens),
        {.min = 1, .max = double{kMostTokens}});
  t.add("step_tokens", "", WEIR_FIELD(QuotaEstimateConfig, step_tokens),
        {.min = 1, .max = double{kMostTokens}});
  return t;
}

bool counts(const std::string& wanted, const std::string& value) {
  return wanted.empty() || wanted == "*" || wanted == value;
}

// Whoever b counts, a counts as well.
bool covers(const QuotaRule& a, const QuotaRule& b) {
  return counts(a.tenant, b.tenant) && counts(a.key, b.key) && counts(a.model, b.model);
}

bool are_alternatives(const QuotaRule& a, const QuotaRule& b) {
  return a.name == b.name && a.metric == b.metric && a.window == b.window;
}

class QuotaReader : private ConfigReader {
 public:
  QuotaReader(const ConfigReader& reader, GatewayConfig& config)
      : ConfigReader(reader), config_(config), out_(config.quotas) {}

  void read(const Node& file) {
    if (const Node* node = file.find("quota_estimate")) {
      const auto estimate = fields(estimate_table(), *node);
      if (estimate.ok()) out_.estimate = *estimate;
    }
    if (const Node* node = file.find("state")) (void)read_state(*node);
    if (const Node* node = file.find("quotas")) read_rules(*node);
  }

 private:
  Status read_state(const Node& node) {
    WEIR_ASSIGN(RawState raw, fields(state_table(), node));
    const bool has_redis = node.find("redis") != nullptr;
    if (has_redis && !raw.sqlite.empty())
      return wrong(node.line,
                   "state: sqlite and redis exclude each other: sqlite for one gateway, redis for "
                   "several that share quotas");
    out_.memory.path = file("state.sqlite", raw.sqlite, line_of(node, "sqlite"));
    if (!has_redis) return {};
    const Node& redis = *node.find("redis");
    if (!raw.url.empty()) {
      for (const std::string_view other : {"host", "port", "database", "username"}) {
        if (redis.find(other) != nullptr)
          return wrong(line_of(redis, other),
                       fmt::format("state.redis: url says {0} as well; leave {0} out", other));
      }
      WEIR_TRY(read_url(raw.url, line_of(redis, "url"), raw.redis.address));
    }
    if (!raw.ca.empty() || raw.url.starts_with(kTlsScheme)) {
      out_.redis_tls.emplace();
      out_.redis_tls->ca_file = file("state.redis.ca", raw.ca, line_of(redis, "ca"));
      if (!raw.redis.address.unix_path.empty())
        return wrong(line_of(redis, "ca"),
                     "state.redis: ca is for TLS, which a unix: socket does not need");
    }
    WEIR_ASSIGN(raw.redis.address.password, secret(raw.password, "state.redis.password", redis));
    raw.redis.address.connect_ms = raw.redis.address.call_ms = raw.timeout_ms;
    raw.redis.fail_open = raw.on_failure == kFailOpen;
    out_.redis = std::move(raw.redis);
    return {};
  }

  // redis[s]://[USER@]HOST[:PORT][/DATABASE] or unix:PATH.
  Status read_url(const std::string& url, int line, RedisAddress& into) const {
    constexpr std::string_view kUnix = "unix:";
    std::string_view rest = url;
    if (rest.starts_with(kUnix) && rest.size() > kUnix.size()) {
      into.unix_path = file("state.redis.url", std::string(rest.substr(kUnix.size())), line);
      return {};
    }
    const auto bad = [&](std::string_view what) {
      return wrong(line, fmt::format("state.redis.url: {}; it looks like "
                                     "redis://HOST:PORT/DATABASE, rediss:// for TLS, or "
                                     "unix:/run/redis.sock",
                                     what));
    };
    const std::string_view scheme = rest.starts_with(kTlsScheme) ? kTlsScheme : kPlainScheme;
    if (!rest.starts_with(scheme)) return bad("unknown scheme");
    rest.remove_prefix(scheme.size());
    if (const size_t at = rest.find('@'); at != std::string_view::npos) {
      if (rest.substr(0, at).find(':') != std::string_view::npos)
        return bad("a password does not belong in this file: give password_env");
      into.username = rest.substr(0, at);
      rest.remove_prefix(at + 1);
    }
    const size_t slash = std::min(rest.find('/'), rest.size());
    std::string_view host = rest.substr(0, slash);
    const std::string_view database = rest.substr(std::min(slash + 1, rest.size()));
    const size_t bracket = host.starts_with('[') ? host.find(']') : 0;
    if (bracket == std::string_view::npos) return bad("a [ without its ]");
    if (const size_t colon = host.find(':', bracket); colon != std::string_view::npos) {
      if (!number(host.substr(colon + 1), 1, 65'535, into.port)) return bad("no port");
      host = host.substr(0, colon);
    }
    if (bracket > 0) host = host.substr(1, bracket - 1);
    if (host.empty()) return bad("no host");
    into.host = host;
    if (!database.empty() && !number(database, 0, 65'535, into.database)) return bad("no database");
    return {};
  }

  static bool number(std::string_view text, int64_t least, int64_t most, auto& into) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
      return false;
    into = static_cast<std::remove_reference_t<decltype(into)>>(value);
    return true;
  }

  void read_rules(const Node& node) {
    if (node.kind != Node::Kind::kList)
      wrong(node.line,
            "quotas must be a list of maps, as [{name: fair, tenant: \"*\", "
            "metric: requests, window: minute, limit: 600}]");
    const auto table = rule_table();
    std::vector<QuotaRule> rules;
    for (const Node& item : node.items) {
      auto raw = fields(table, item);
      if (raw.ok() && read_rule(*raw, rules, item.line).ok()) rules.push_back(std::move(raw->rule));
    }
    warn_of_memory(rules, node.line);
    auto made = QuotaRules::make(std::move(rules));
    if (!made.ok()) {
      wrong(node.line, made.error().message);
      return;
    }
    out_.rules = std::move(*made);
  }

  // before: those that stand before it.
  Status read_rule(RawRule& raw, const std::vector<QuotaRule>& before, int line) const {
    QuotaRule& rule = raw.rule;
    const std::pair<std::string_view, bool> needed[] = {{"name", rule.name.empty()},
                                                        {"metric", raw.metric.empty()},
                                                        {"window", raw.window.empty()},
                                                        {"limit", raw.limit.empty()}};
    for (const auto& [field, missing] : needed)
      if (missing) return wrong(line, fmt::format("a quota needs {}", field));
    for (size_t i = 0; i < std::size(kMetrics); ++i)
      if (kMetricNames[i] == raw.metric) rule.metric = kMetrics[i];
    for (size_t i = 0; i < std::size(kWindowNames); ++i)
      if (kWindowNames[i] == raw.window) rule.window = static_cast<QuotaWindow>(i);
    WEIR_TRY(read_limit(raw, line));
    WEIR_TRY(check_subjects(rule, line));
    for (const QuotaRule& other : before) {
      if (are_alternatives(other, rule) && covers(other, rule))
        return wrong(line, fmt::format("the quota {} counts nobody: one of the same name, metric "
                                       "and window stands before it and counts them all; put the "
                                       "narrower one first, or give it another name",
                                       rule.name));
    }
    return rule.metric == QuotaMetric::kMoney ? check_prices(rule, line) : Status();
  }

  Status read_limit(RawRule& raw, int line) const {
    if (raw.rule.metric != QuotaMetric::kMoney) {
      if (!raw.currency.empty())
        return wrong(line, "currency is for the metric money; leave it out");
      if (number(raw.limit, 0, kMaxQuota, raw.rule.limit)) return {};
      return wrong(line, fmt::format("limit must be an integer from 0 to {}, not {}", kMaxQuota,
                                     raw.limit.substr(0, 100)));
    }
    const std::string& counted = config_.prices.currency();
    if (!raw.currency.empty() && raw.currency != counted && !is_broken("prices"))
      return wrong(line, fmt::format("the quota {} is in {}, and prices are in {}: sums of both "
                                     "mean nothing; write it in {}",
                                     raw.rule.name, raw.currency, counted, counted));
    const auto money = parse_money(raw.limit);
    if (!money.ok()) return wrong(line, fmt::format("limit: {}", money.error().message));
    raw.rule.limit = *money;
    return {};
  }

  // That there can be requests that it counts.
  Status check_subjects(const QuotaRule& rule, int line) const {
    if (rule.key.starts_with("weir_"))
      return wrong(line,
                   "key wants the id of a key, which stands after weir_ in it and as id in "
                   "keys_file, and never the key itself");
    if (config_.keys_file.empty() && !is_broken(kHead) &&
        !(rule.tenant.empty() && rule.key.empty()))
      return wrong(line, fmt::format("the quota {} is of tenants or keys, and nobody has one: give "
                                     "keys_file, or leave tenant and key out to count all together",
                                     rule.name));
    if (rule.model.empty() || rule.model == "*") return {};
    std::vector<std::string> names;
    names.reserve(config_.models.size());
    for (const ModelConfig& m : config_.models) names.push_back(m.name);
    if (std::find(names.begin(), names.end(), rule.model) != names.end()) return {};
    return wrong(line,
                 fmt::format("model \"{}\" is not under models; the nearest is \"{}\"",
                             rule.model.substr(0, 100),
                             config::nearest(rule.model, std::span<const std::string>(names))));
  }

  // Its own, or those of all that may answer for it: a cascade's steps and judges, a router's two.
  std::vector<TargetConfig> targets_of(const ModelConfig& model) const {
    std::vector<TargetConfig> out = model.targets;
    std::vector<std::string> others;
    if (model.difficulty.has_value()) others = {model.difficulty->small, model.difficulty->large};
    if (model.cascade.has_value()) {
      for (const CascadeStepConfig& step : model.cascade->steps) {
        others.push_back(step.model);
        if (step.check.judge.has_value()) others.push_back(step.check.judge->model);
      }
    }
    for (const ModelConfig& m : config_.models)
      if (std::find(others.begin(), others.end(), m.name) != others.end())
        out.insert(out.end(), m.targets.begin(), m.targets.end());
    return out;
  }

  // What has no price would be counted as nothing, and the limit would limit nothing.
  Status check_prices(const QuotaRule& rule, int line) const {
    if (is_broken("prices")) return {};
    for (const ModelConfig& m : config_.models) {
      if (!counts(rule.model, m.name)) continue;
      for (const TargetConfig& t : targets_of(m)) {
        const std::string& upstream = config_.upstreams[t.upstream].name;
        const std::string& model = t.model.empty() ? m.name : t.model;
        if (config_.prices.find(upstream, model) != nullptr) continue;
        return wrong(
            line, fmt::format("the quota {} counts money, and models.{} can go to {}, whose price "
                              "of {} is not known: add {{upstream: {}, model: {}, input: …, "
                              "output: …, date: …}} to prices (\"0\" for what costs nothing), or "
                              "name a model that has prices",
                              rule.name, m.name, upstream, model, upstream, model));
      }
    }
    return {};
  }

  void warn_of_memory(const std::vector<QuotaRule>& rules, int line) {
    const bool lasts = std::any_of(rules.begin(), rules.end(), [](const QuotaRule& r) {
      return r.window != QuotaWindow::kMinute;
    });
    if (!lasts || out_.redis.has_value() || !out_.memory.path.empty()) return;
    out_.warnings.push_back(
        fmt::format("{}:{}: quotas of a day or a month are kept in memory alone and begin anew at "
                    "each start; give state: {{sqlite: FILE}}, or redis",
                    name(), line));
  }

  const GatewayConfig& config_;
  QuotaSettings& out_;
};

std::string subject_text(const QuotaRule& r) {
  std::string out;
  const std::pair<std::string_view, const std::string*> subjects[] = {
      {"tenant", &r.tenant}, {"key", &r.key}, {"model", &r.model}};
  for (const auto& [kind, wanted] : subjects) {
    if (wanted->empty()) continue;
    out += *wanted == "*" ? fmt::format(", each {}", kind) : fmt::format(", {} {}", kind, *wanted);
  }
  return out.empty() ? ", all together" : out;
}

std::string store_text(const QuotaSettings& q) {
  if (!q.redis.has_value())
    return q.memory.path.empty() ? "memory" : fmt::format("sqlite {}", q.memory.path);
  const RedisAddress& a = q.redis->address;
  const std::string where =
      a.unix_path.empty() ? fmt::format("{}:{}", a.host, a.port) : a.unix_path;
  return fmt::format("redis {}{}; while it is down requests are {}", where,
                     q.redis_tls.has_value() ? " with TLS" : "",
                     q.redis->fail_open ? "answered and not counted" : "refused");
}

}  // namespace

void list_quota_keys(FileKeys& out) {
  list_keys("quotas[].", rule_table().keys(), {}, out);
  list_keys("quota_estimate.", estimate_table().keys(), {}, out);
  list_keys("state.", state_table().keys(), {}, out);
}

void read_quotas(const ConfigReader& reader, const config::Node& file, GatewayConfig& config) {
  QuotaReader(reader, config).read(file);
}

std::string QuotaSettings::store_name() const { return store_text(*this); }

std::string_view quota_metric_key(QuotaMetric metric) {
  const auto at = std::find(std::begin(kMetrics), std::end(kMetrics), metric);
  return kMetricNames[at - std::begin(kMetrics)];
}

std::string describe_quotas(const GatewayConfig& c) {
  const QuotaSettings& q = c.quotas;
  if (q.rules.all().empty()) return "";
  std::string out = fmt::format("quotas in {}\n", q.store_name());
  for (const QuotaRule& r : q.rules.all()) {
    const bool money = r.metric == QuotaMetric::kMoney;
    out += fmt::format("  {}: {} {} per {}{}\n", r.name,
                       money ? money_text(r.limit) : fmt::format("{}", r.limit),
                       money ? c.prices.currency() : std::string(quota_metric_name(r.metric)),
                       quota_window_name(r.window), subject_text(r));
  }
  for (const std::string& warning : q.warnings) out += fmt::format("warning: {}\n", warning);
  return out;
}

}  // namespace weir::gateway
