// Copies of requests for a model that nobody waits for: what a new one would say, cost and take is
// seen in the ledger, the metrics and its release's burn rate before a user sees it. A copy waits
// for its turn behind the client's own call, goes to upstreams that answer none of the model's
// users, and what becomes of it is nobody's business but theirs. On the proxy's thread.
#pragma once

#include <cstdint>
#include <map>

#include "gateway/call.h"
#include "telemetry/metrics.h"

namespace weir::gateway {

// Whether a request is one of a share of all: a function of its id and the key alone.
bool is_sampled(std::string_view request_id, double share, const HashKey& key);

class Shadows {
 public:
  // Both outlive it.
  Shadows(Proxy& proxy, const GatewayConfig& config);
  Shadows(const Shadows&) = delete;
  Shadows& operator=(const Shadows&) = delete;

  // Asks the shadow of asked.model as well, where it has one and the request is in its sample. Its
  // rows in the ledger have the request's id with "-shadow" behind it and "shadow" as their cache.
  void copy(const Asked& asked);

 private:
  struct Shadow {
    const ShadowConfig* config = nullptr;
    int32_t in_flight = 0;
    telemetry::CounterFamily ends;  // weir_gateway_shadow_total{model,end}
  };
  void ask(Shadow& shadow, Asked asked);

  Proxy& proxy_;
  std::map<const ModelConfig*, Shadow> shadows_;
};

}  // namespace weir::gateway
