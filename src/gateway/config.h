// gateway.yaml: who listens, which upstreams there are, and which models are answered by which of
// them.
//
//   listen: {host: 127.0.0.1, port: 8090}
//   upstreams:
//     pods:
//       engine: weir
//       endpoints: ["http://10.0.0.1:8080", {url: "http://10.0.0.2:8080", zone: b}]
//     hosted: {engine: openai, key_env: OPENAI_API_KEY, endpoints: ["https://api.openai.com"]}
//   models:
//     chat:
//       policy: cache_aware
//       targets: [{upstream: pods, model: smollm2}, {upstream: hosted, model: gpt-4o-mini, tier:
//       1}]
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/yaml.h"
#include "gateway/config_routing.h"
#include "gateway/resilience/deadline.h"
#include "gateway/resilience/hedge.h"
#include "gateway/resilience/pool_guard.h"
#include "gateway/route/failover.h"
#include "gateway/route/pick.h"
#include "gateway/state/ledger.h"
#include "gateway/state/prices.h"
#include "gateway/translate/protocol.h"
#include "http/server.h"
#include "http/tls.h"
#include "http/url.h"

namespace weir::gateway {

struct EndpointConfig {
  std::string url;  // as written
  http::Url to;
  std::string region;  // "": not told
  std::string zone;
  double weight = 1;
};

// A pool of endpoints that serve the same models.
struct UpstreamConfig {
  std::string name;
  std::string engine = "openai";  // openai anthropic weir vllm sglang trtllm llamacpp dynamo
  Protocol protocol = Protocol::kOpenAi;
  std::vector<EndpointConfig> endpoints;
  std::string ca_file;      // PEM, of https endpoints: who signs for them; "": the system's
  std::string key;          // sent as the protocol wants it; never a client's. "": none
  std::string health_path;  // "": what the engine has; "none": no probes
  PoolGuardConfig guard;
  int64_t cache_tokens = 0;  // of an endpoint's prefix cache; 0: not known
  int line = 0;
};

struct TargetConfig {
  size_t upstream = 0;   // index into GatewayConfig::upstreams
  std::string model;     // what the upstream calls it; where the file is silent: the alias
  int32_t weight = 100;  // share of the traffic among targets of a tier
  int32_t tier = 0;      // a higher one is for when lower ones cannot
  std::string release;   // a name for rollouts and logs; "": the upstream's
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
  int64_t slo_first_byte_ms = 0;  // a later first byte misses the SLO; 0: only failures do
  int line = 0;
};

struct GatewayConfig {
  std::string host = "127.0.0.1";
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
  PriceTable prices;            // of what upstreams compute
  std::vector<UpstreamConfig> upstreams;
  std::vector<ModelConfig> models;
  std::vector<Rule> rules;      // of models first, in the file's order
  bool trusted_picker = false;  // x-gateway-destination-endpoint is obeyed
};

// Retries of a pool that are always there, as Finagle has them: of few requests a tenth is none,
// and an endpoint that dies costs some until its breaker opens.
inline constexpr double kMinRetriesPerS = 10;

// A client waits no longer than this for an upstream that is too busy; it is told how long instead.
inline constexpr int64_t kMaxRetryAfterMs = 1'000;

// A variable of the environment; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads the files that key_file and the like name. Errors: kCorrupt "NAME:LINE: what is wrong",
// with the nearest key for an unknown one; kUsage for a file with a secret in it that others can
// read.
Result<GatewayConfig> parse_gateway_config(const config::Node& file, const std::string& name,
                                           const Environment& environment);
// The same errors, and those of config::read_yaml.
Result<GatewayConfig> read_gateway_config(const std::string& path, const Environment& environment);

// A table for people: what would be served, by whom (weir gateway --check).
std::string describe(const GatewayConfig& config);

}  // namespace weir::gateway
