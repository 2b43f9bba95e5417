// The pools of gateway.yaml: engines, endpoints, guards.
#include <set>

#include "gateway/capacity.h"
#include "gateway/config_keys.h"
#include "gateway/config_reader.h"
#include "http/url.h"

namespace weir::gateway {
namespace {

using config::Node;

constexpr size_t kMaxUpstreams = 1'000;
constexpr std::string_view kApart[] = {"endpoints"};
constexpr std::string_view kAsked = "/v1/chat/completions and the like";

// What stands in the file and not, as it is, in the configuration.
struct RawUpstream {
  RawUpstream() { config.guard.budget.min_per_s = kMinRetriesPerS; }
  UpstreamConfig config;
  RawSecret key;
  std::string continue_by;  // "": as the engine does
  std::string sampling = "drop";
  std::string thinking = "effort";
};

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

void add_translate(config::Table<RawUpstream>& t) {
#define WEIR_TRANSLATE(path) WEIR_FIELD(RawUpstream, config.translate.path)
  t.add("translate.default_max_tokens", "", WEIR_TRANSLATE(default_max_tokens),
        {.min = 1, .max = 1e9});
  t.add("translate.sampling", "", WEIR_FIELD(RawUpstream, sampling),
        {.choices = {"drop", "temperature", "all"}});
  t.add("translate.thinking", "", WEIR_FIELD(RawUpstream, thinking),
        {.choices = {"effort", "budget", "drop"}});
  t.add("translate.reasoning_effort", "", WEIR_TRANSLATE(reasoning_effort), {});
  t.add("translate.max_tokens_by_old_name", "", WEIR_TRANSLATE(max_tokens_by_old_name), {});
  t.add("translate.drop_unsupported", "", WEIR_TRANSLATE(drop_unsupported), {});
  t.add("translate.refuse_unknown", "", WEIR_TRANSLATE(refuse_unknown), {});
#undef WEIR_TRANSLATE
}

SamplingStyle sampling_style(std::string_view name) {
  if (name == "all") return SamplingStyle::kAll;
  return name == "temperature" ? SamplingStyle::kTemperatureOnly : SamplingStyle::kDrop;
}

ThinkingStyle thinking_style(std::string_view name) {
  if (name == "budget") return ThinkingStyle::kBudget;
  return name == "drop" ? ThinkingStyle::kDrop : ThinkingStyle::kEffort;
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
  t.add("health.path", "", WEIR_FIELD(RawUpstream, config.health_path), {});
  t.add("continue_by", "", WEIR_FIELD(RawUpstream, continue_by),
        {.choices = {"final_message", "prefill", "none"}});
  t.add("pass_anthropic_headers", "", WEIR_FIELD(RawUpstream, config.pass_anthropic_headers), {});
  t.add("metrics.path", "", WEIR_FIELD(RawUpstream, config.metrics.path), {});
  t.add("metrics.port", "", WEIR_FIELD(RawUpstream, config.metrics.port), {.min = 0, .max = 65535});
  t.add("metrics.interval_ms", "", WEIR_FIELD(RawUpstream, config.metrics.interval_ms),
        {.min = 20, .max = 600'000});
  t.add("metrics.timeout_ms", "", WEIR_FIELD(RawUpstream, config.metrics.timeout_ms),
        {.min = 10, .max = 60'000});
  t.add("metrics.stale_after", "", WEIR_FIELD(RawUpstream, config.metrics.stale_after),
        {.min = 1, .max = 1'000});
  add_translate(t);
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

class UpstreamReader {
 public:
  explicit UpstreamReader(const ConfigReader& reader) : reader_(reader) {}

  std::vector<UpstreamConfig> read(const Node& node) {
    std::vector<UpstreamConfig> out;
    for (const config::Member& m : node.members) {
      auto read = read_one(m);
      if (read.ok()) {
        out.push_back(std::move(*read));
      } else {
        out.emplace_back().name = m.key;
      }
    }
    return out;
  }

 private:
  Result<UpstreamConfig> read_one(const config::Member& m) {
    if (!ConfigReader::is_name(m.key))
      return reader_.wrong(m.line, ConfigReader::bad_name("an upstream"));
    WEIR_ASSIGN(RawUpstream raw, reader_.fields(table_, m.value, kApart));
    UpstreamConfig u = std::move(raw.config);
    u.name = m.key;
    u.line = m.line;
    if (u.engine == "anthropic") u.protocol = Protocol::kAnthropic;
    u.translate.sampling = sampling_style(raw.sampling);
    u.translate.thinking = thinking_style(raw.thinking);
    u.continue_by = continue_style_of(raw.continue_by).value_or(default_continue_style(u.engine));
    auto key = reader_.secret(raw.key, fmt::format("upstreams.{}.key", u.name), m.value);
    u.ca_file = reader_.file(fmt::format("upstreams.{}.ca_file", u.name), u.ca_file,
                             line_of(m.value, "ca_file"));
    const Status metrics = check_metrics(u, m.value);
    WEIR_TRY(read_endpoints(m.value.find("endpoints"), m.line, u));
    WEIR_TRY(metrics);
    WEIR_ASSIGN(u.key, std::move(key));
    return u;
  }

  Status check_metrics(const UpstreamConfig& u, const Node& node) const {
    const std::string& path = u.metrics.path;
    if (path.empty() || path == "none") return {};
    const int line = line_of(node, "metrics.path");
    if (metrics_path(u.engine).empty())
      return reader_.wrong(
          line, fmt::format("upstreams.{}: metrics.path, but no metrics of the engine {} are "
                            "known; name the engine that answers (engine: vllm), or leave it out",
                            u.name, u.engine));
    if (path.front() != '/')
      return reader_.wrong(line, fmt::format("upstreams.{}: metrics.path must begin with /, as "
                                             "/metrics, or be none",
                                             u.name));
    return {};
  }

  // Error: the last mistake of the endpoints.
  Status read_endpoints(const Node* node, int line, UpstreamConfig& u) {
    if (node != nullptr && node->kind == Node::Kind::kMap) return read_discovery(reader_, *node, u);
    if (node == nullptr || node->kind != Node::Kind::kList || node->items.empty())
      return reader_.wrong(
          line, fmt::format("upstreams.{}: endpoints must be a list of URLs, with one at least, as "
                            "[\"http://127.0.0.1:8080\"], or {{dns: …}}, or {{kubernetes: …}}",
                            u.name));
    Status good;
    for (const Node& item : node->items) {
      auto read = read_endpoint(item, u.name);
      if (read.ok()) {
        u.endpoints.push_back(std::move(*read));
      } else {
        good = read.error();
      }
    }
    if (urls_.size() > kMaxEndpoints)
      return reader_.wrong(node->line, fmt::format("more than {} endpoints", kMaxEndpoints));
    return good;
  }

  Result<EndpointConfig> read_endpoint(const Node& item, const std::string& upstream) {
    EndpointConfig e;
    if (item.kind == Node::Kind::kScalar) {
      e.url = item.text;
    } else {
      WEIR_ASSIGN(e, reader_.fields(endpoint_table_, item));
    }
    auto url = http::parse_http_or_https_url(e.url);
    if (!url.ok()) return reader_.wrong(item.line, url.error().message);
    e.to = *url;
    if (const auto behind = ConfigReader::api_path_behind(e.to.path); !behind.empty())
      return reader_.wrong(
          item.line, fmt::format("{}: the gateway itself puts {} behind an endpoint's URL; "
                                 "leave {} out, as in {}",
                                 e.url, kAsked, behind, e.url.substr(0, e.url.rfind(behind))));
    if (!urls_.insert(upstream + ' ' + e.to.authority() + e.to.path).second)
      return reader_.wrong(item.line, fmt::format("{} stands twice", e.url));
    return e;
  }

  const ConfigReader& reader_;
  const config::Table<RawUpstream> table_ = upstream_table();
  const config::Table<EndpointConfig> endpoint_table_ = endpoint_table();
  std::set<std::string> urls_;
};

}  // namespace

void list_upstream_keys(FileKeys& out) {
  list_keys("upstreams.NAME.", upstream_table().keys(), kApart, out);
  list_keys("upstreams.NAME.endpoints[].", endpoint_table().keys(), {}, out);
  list_discovery_keys("upstreams.NAME.endpoints.", out);
}

bool same_settings(const UpstreamConfig& a, const UpstreamConfig& b) {
  return a.name == b.name && a.engine == b.engine && a.dns == b.dns &&
         a.kubernetes == b.kubernetes && a.ca_file == b.ca_file && a.key == b.key &&
         a.health_path == b.health_path && a.continue_by == b.continue_by &&
         a.pass_anthropic_headers == b.pass_anthropic_headers && a.translate == b.translate &&
         a.metrics == b.metrics && a.guard == b.guard && a.cache_tokens == b.cache_tokens;
}

bool needs_tls(const UpstreamConfig& upstream) {
  if (upstream.dns.has_value()) return upstream.dns->scheme == "https";
  if (upstream.kubernetes.has_value()) return upstream.kubernetes->scheme == "https";
  return std::any_of(upstream.endpoints.begin(), upstream.endpoints.end(),
                     [](const EndpointConfig& e) { return e.to.tls; });
}

std::string metrics_target(const UpstreamConfig& upstream) {
  const std::string& path = upstream.metrics.path;
  if (path == "none") return "";
  return path.empty() ? std::string(metrics_path(upstream.engine)) : path;
}

std::vector<UpstreamConfig> read_upstreams(const ConfigReader& reader, const Node* node, int line) {
  if (node == nullptr || node->kind != Node::Kind::kMap || node->members.empty()) {
    reader.wrong(node == nullptr ? line : node->line,
                 "upstreams must be a map of names, with one at least");
    return {};
  }
  if (node->members.size() > kMaxUpstreams) {
    reader.wrong(node->line, fmt::format("more than {} upstreams", kMaxUpstreams));
    return {};
  }
  return UpstreamReader(reader).read(*node);
}

}  // namespace weir::gateway
