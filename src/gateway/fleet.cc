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

Status Fleet::load_tls() {
  for (const std::vector<Endpoint*>& pool : pools_) {
    std::shared_ptr<const http::TlsClientContext> tls;
    for (Endpoint* e : pool) {
      if (!e->config->to.tls) continue;
      if (tls == nullptr) {
        http::TlsClientOptions options;
        options.ca_file = e->upstream->ca_file;
        WEIR_ASSIGN(tls, http::TlsClientContext::load(options));
      }
      e->tls = tls;
    }
  }
  return {};
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
