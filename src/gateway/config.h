// gateway.yaml: who listens, which upstreams there are, and which models are answered by which of
// them.
//
//   listen: {host: 127.0.0.1, port: 8090}
//   upstreams:
//     pods:
//       engine: weir
//       endpoints: ["http://10.0.0.1:8080", {url: "http://10.0.0.2:8080", zone: b}]
//       metrics: {interval_ms: 500}
//     found: {engine: vllm, endpoints: {dns: {name: vllm.example, port: 8000}}}
//     hosted: {engine: openai, key_env: OPENAI_API_KEY, endpoints: ["https://api.openai.com"]}
//   models:
//     chat:
//       policy: cache_aware
//       targets: [{upstream: pods, model: smollm2}, {upstream: hosted, model: gpt-4o-mini, tier:
//       1}]
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/problems.h"
#include "config/yaml.h"
#include "gateway/answer_store.h"
#include "gateway/cache/prompt_budget.h"
#include "gateway/config_models.h"
#include "gateway/config_routing.h"
#include "gateway/quota_settings.h"
#include "gateway/resilience/deadline.h"
#include "gateway/resilience/hedge.h"
#include "gateway/resilience/pool_guard.h"
#include "gateway/resilience/shed.h"
#include "gateway/route/failover.h"
#include "gateway/route/pick.h"
#include "gateway/state/ledger.h"
#include "gateway/state/prices.h"
#include "gateway/translate/continuation.h"
#include "gateway/translate/protocol.h"
#include "http/server.h"
#include "http/tls.h"
#include "http/url.h"
#include "telemetry/scrubber.h"

namespace weir::gateway {

struct EndpointConfig {
  std::string url;  // as written
  http::Url to;
  std::string region;  // "": not told
  std::string zone;
  double weight = 1;
};

// Endpoints that a name of the DNS stands for: its IPv4 addresses, where it has none its IPv6 ones.
struct DnsConfig {
  std::string name;
  int32_t port = 0;
  int64_t interval_ms = 5'000;  // between an answer and the next question
  int64_t keep_ms = 3'600'000;  // while nothing is found the last known stay, for this long
  std::string scheme = "http";  // or https
  std::string path;             // before the API's own: "" or "/base"
  std::string region;
  std::string zone;
  friend bool operator==(const DnsConfig&, const DnsConfig&) = default;
};

// The endpoints of a service of Kubernetes, by its EndpointSlices.
struct KubernetesConfig {
  std::string service;
  std::string name_space;
  std::string port;  // a number, or the name it has in the slices; "": their first
  std::string scheme = "http";
  std::string path;
  std::string region;   // zones are those of the slices
  std::string api_url;  // as written; "": the cluster's that this runs in
  http::Url api;
  std::string token_file;  // read anew for every request; "": none
  std::string ca_file;     // who signs for the API; "": the system's
  bool watch = true;       // false: asked every interval_ms
  int64_t interval_ms = 10'000;
  friend bool operator==(const KubernetesConfig&, const KubernetesConfig&) = default;
};

// What endpoints say of their load, read from their metrics (capacity.h).
struct MetricsConfig {
  std::string path;             // "": where the engine has them; "none": not read
  int32_t port = 0;             // 0: the endpoint's
  int64_t interval_ms = 1'000;  // between an answer and the next question
  int64_t timeout_ms = 1'000;   // of an answer
  int32_t stale_after = 5;      // intervals: what was said earlier is not believed
  friend bool operator==(const MetricsConfig&, const MetricsConfig&) = default;
};
inline int64_t fresh_ns(const MetricsConfig& m) {
  return m.interval_ms * m.stale_after * 1'000'000;
}

// A pool of endpoints that serve the same models.
struct UpstreamConfig {
  std::string name;
  std::string engine = "openai";  // openai anthropic weir vllm sglang trtllm llamacpp dynamo
  Protocol protocol = Protocol::kOpenAi;
  // One of the three says who is in it.
  std::vector<EndpointConfig> endpoints;
  std::optional<DnsConfig> dns;
  std::optional<KubernetesConfig> kubernetes;
  std::string ca_file;      // PEM, of https endpoints: who signs for them; "": the system's
  std::string key;          // sent as the protocol wants it; never a client's. "": none
  std::string health_path;  // "": what the engine has; "none": no probes
  MetricsConfig metrics;
  PoolGuardConfig guard;
  int64_t cache_tokens = 0;  // of an endpoint's prefix cache; 0: not known
  // anthropic-beta and anthropic-version of clients of that protocol go on to it: what they switch
  // on is done and paid with the gateway's key.
  bool pass_anthropic_headers = false;
  ContinueStyle continue_by = ContinueStyle::kNone;  // how it is told to go on with a text
  TranslateOptions translate;  // of clients of the other protocol; names and times are a request's
  int line = 0;
};

enum class CacheMode : uint8_t {
  kOff,
  kAuto,    // temperature 0, embeddings, and what asks for it by x-weir-cache
  kAlways,  // also what a temperature would make different each time
};

enum class LeakCheck : uint8_t { kOff, kLog, kBlock };

struct TargetConfig {
  // Number of its pool: the index into GatewayConfig::upstreams as it is read, the fleet's once the
  // fleet has adopted the configuration (FleetKeeper::adopt).
  size_t upstream = 0;
  std::string upstream_name;  // its name in the file, which never changes: prices go by it
  std::string model;          // what the upstream calls it; where the file is silent: the alias
  int32_t weight = 100;       // share of the traffic among targets of a tier
  int32_t tier = 0;           // a higher one is for when lower ones cannot
  std::string release;        // a name for rollouts and logs; "": the upstream's
};

struct ModelConfig {
  std::string name;  // what clients call it
  PickConfig pick;
  FailoverConfig failover;
  std::vector<TargetConfig> targets;  // none where other models answer: one of the next two
  std::optional<CascadeConfig> cascade;
  std::optional<DifficultyConfig> difficulty;
  std::optional<ShadowConfig> shadow;
  RouteTimeouts timeouts;
  RetryConfig retry;
  HedgeConfig hedge;
  ShedConfig shed = {.max_in_flight = 0};  // 0: nobody is shed
  CacheMode cache = CacheMode::kAuto;      // where the gateway has one
  int64_t cache_ttl_s = 0;                 // 0: the cache's
  std::vector<std::string> cache_tags;
  PromptBudgetConfig prompt_budget;
  bool redact = false;  // what the scrubber finds does not go upstream
  LeakCheck leak_check = LeakCheck::kOff;
  int64_t slo_first_byte_ms = 0;  // a later first byte misses the SLO; 0: only failures do
  int line = 0;
};

// A file that gateway.yaml names.
struct NamedFile {
  std::string key;    // "ledger.file"
  std::string given;  // as written
  std::string path;   // what that means: from the folder of gateway.yaml on
  int line = 0;       // where the key stands
};

struct GatewayConfig {
  std::string name;  // the file's, for what is said of it later (config_place.h); "": of no file
  std::string host = "127.0.0.1";
  int host_line = 0;     // in the file
  uint16_t port = 8090;  // 0: any free one
  http::ServerLimits limits;
  http::TlsFiles tls;
  std::string region;  // of this gateway: nearer endpoints of a tier come first
  std::string zone;
  std::string keys_file;  // tenants and their keys; "": everybody may ask, on loopback only
  bool allow_remote_without_keys = false;
  std::string admin_host = "127.0.0.1";
  int32_t admin_port = -1;  // -1: no admin listener
  std::string admin_token;
  int64_t drain_timeout_s = 30;
  double error_budget = 0.001;  // share of requests that may miss their SLO; for burn rates
  LedgerOptions ledger;         // path "": none
  AnswerStoreConfig answers;
  std::vector<std::string> redaction_patterns;  // PCRE2, beside the scrubber's own
  // Of these, never null. Shared: a visit goes on with those that it began with.
  std::shared_ptr<const telemetry::Scrubber> redactor =
      std::make_shared<const telemetry::Scrubber>();
  PriceTable prices;  // of what upstreams compute
  QuotaSettings quotas;
  PriorityConfig priorities;  // whom a full model sheds first
  std::vector<UpstreamConfig> upstreams;
  std::vector<ModelConfig> models;
  std::vector<Rule> rules;       // of models first, in the file's order
  bool trusted_picker = false;   // x-gateway-destination-endpoint is obeyed
  std::vector<NamedFile> files;  // all that it names, secrets included
};

// Whether the two differ in nothing but the list of their endpoints: who is in both keeps its state
// when the file is read again.
bool same_settings(const UpstreamConfig& a, const UpstreamConfig& b);
// Keys that a running gateway does not take over, of those that differ: "listen.port".
std::vector<std::string> needs_restart(const GatewayConfig& now, const GatewayConfig& next);
// What holds after `adopted` was read again in a gateway that was started with the other.
GatewayConfig in_force(const GatewayConfig& started, GatewayConfig adopted);

// Whether endpoints of it are asked by https.
bool needs_tls(const UpstreamConfig& upstream);
// Where its metrics are read; "": they are not.
std::string metrics_target(const UpstreamConfig& upstream);

// Endpoints of all upstreams, discovered ones included.
inline constexpr size_t kMaxEndpoints = 10'000;

// Retries of a pool that are always there, as Finagle has them: of few requests a tenth is none,
// and an endpoint that dies costs some until its breaker opens.
inline constexpr double kMinRetriesPerS = 10;

// A client waits no longer than this for an upstream that is too busy; it is told how long instead.
inline constexpr int64_t kMaxRetryAfterMs = 1'000;

// A variable of the environment; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Paths in the file are relative to its folder. Reads the files that key_file and the like name.
// What is wrong with it is told to `problems`, whose file it is, and then there is no
// configuration: of each part (a section, an upstream, a target, a rule) the first mistake at
// least, but for those of parts that rest on a broken one. kCorrupt, with the nearest key for an
// unknown one; kUsage for a file with a secret in it that others can read.
std::optional<GatewayConfig> parse_gateway_config(const config::Node& file,
                                                  const Environment& environment,
                                                  config::Problems& problems);
// The file that `problems` are of. Those of config::read_yaml as well.
std::optional<GatewayConfig> read_gateway_config(const Environment& environment,
                                                 config::Problems& problems);
// The same, and what is wrong in one error: Problems::error().
Result<GatewayConfig> parse_gateway_config(const config::Node& file, const std::string& name,
                                           const Environment& environment);
Result<GatewayConfig> read_gateway_config(const std::string& path, const Environment& environment);

// What would be served, by whom and within which bounds (weir gateway --check): for people, and one
// JSON document for programs. file: as it was given; warnings: beside those of the quotas.
std::string describe(const GatewayConfig& config);
std::string describe_json(const GatewayConfig& config, const std::string& file,
                          const std::vector<std::string>& warnings);
// The JSON document of one that is not good: {"file", "good": false, "errors": [{"file", "line",
// "message"}], "errors_left_out"}; of the file as a whole there is no line.
std::string problems_json(const config::Problems& problems);

}  // namespace weir::gateway
