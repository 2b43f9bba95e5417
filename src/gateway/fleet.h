// The endpoints as they are at present. One thread: the proxy's.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gateway/config.h"

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
};

class Fleet {
 public:
  // config outlives the fleet.
  explicit Fleet(const GatewayConfig& config);

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
