#include "gateway/fleet.h"

namespace weir::gateway {

Fleet::Fleet(const GatewayConfig& config) {
  for (const UpstreamConfig& u : config.upstreams) {
    std::vector<Endpoint*>& pool = pools_.emplace_back();
    for (const EndpointConfig& e : u.endpoints) {
      Endpoint& made = endpoints_.emplace_back();
      made.upstream = &u;
      made.config = &e;
      pool.push_back(&made);
    }
  }
}

bool Fleet::on_probe(Endpoint& e, bool good) {
  if (good == e.up) {
    e.streak = 0;
    return false;
  }
  if (++e.streak < (good ? e.upstream->health.rise : e.upstream->health.fall)) return false;
  e.up = good;
  e.streak = 0;
  return true;
}

}  // namespace weir::gateway
