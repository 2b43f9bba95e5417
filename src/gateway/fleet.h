// The endpoints as they are at present. One thread: the proxy's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/config.h"
#include "http/tls_client.h"

namespace weir::gateway {

// What the last scrape of an endpoint's metrics said.
struct CapacitySignals {
  int64_t at_ns = 0;  // 0: never
  double waiting = 0;
  double running = 0;
  double kv_usage = 0;  // 0 to 1
};

struct Endpoint {
  const UpstreamConfig* upstream = nullptr;
  const EndpointConfig* config = nullptr;
  int32_t in_flight = 0;
  bool up = true;      // by probes; until the first one has failed so often
  int32_t streak = 0;  // probes in a row against `up`
  CapacitySignals signals;
  // Whom https believes; null for http. Shared with kept-alive connections.
  std::shared_ptr<const http::TlsClientContext> tls;
};

class Fleet {
 public:
  // config outlives the fleet.
  explicit Fleet(const GatewayConfig& config);

  // Errors: those of TlsClientContext::load.
  Status load_tls();

  std::deque<Endpoint>& endpoints() { return endpoints_; }
  const std::deque<Endpoint>& endpoints() const { return endpoints_; }
  // Those of an upstream, by its place in the configuration.
  std::span<Endpoint* const> of(size_t upstream) const { return pools_[upstream]; }

  // One probe more of an endpoint; whether `up` changed.
  static bool on_probe(Endpoint& endpoint, bool good);

 private:
  std::deque<Endpoint> endpoints_;  // they stay where they are
  std::vector<std::vector<Endpoint*>> pools_;
};

}  // namespace weir::gateway
