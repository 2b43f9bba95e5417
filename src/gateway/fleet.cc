#include "gateway/fleet.h"

namespace weir::gateway {

Fleet::Fleet(const GatewayConfig& config, uint64_t seed, int64_t now_ns) {
  for (const UpstreamConfig& u : config.upstreams) {
    PoolGuard& pool = pools_.emplace_back(u.guard, seed + pools_.size());
    std::vector<Endpoint*>& members = members_.emplace_back();
    for (const EndpointConfig& e : u.endpoints) {
      Endpoint& made = endpoints_.emplace_back();
      made.upstream = &u;
      made.config = &e;
      made.pool = &pool;
      made.number = pool.add(now_ns);
      made.index = static_cast<uint32_t>(endpoints_.size() - 1);
      members.push_back(&made);
    }
  }
}

Status Fleet::load_tls() {
  for (const std::vector<Endpoint*>& members : members_) {
    std::shared_ptr<const http::TlsClientContext> tls;
    for (Endpoint* e : members) {
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

}  // namespace weir::gateway
