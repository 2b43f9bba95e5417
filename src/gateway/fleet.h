// The endpoints as they are at present. One thread: the proxy's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "gateway/config.h"
#include "gateway/resilience/pool_guard.h"
#include "http/tls_client.h"

namespace weir::gateway {

struct Endpoint {
  const UpstreamConfig* upstream = nullptr;
  const EndpointConfig* config = nullptr;
  PoolGuard* pool = nullptr;
  size_t number = 0;          // in the pool
  uint32_t index = 0;         // in Fleet::endpoints()
  int64_t queued_tokens = 0;  // of prompts sent there, of whose answers no byte has come
  // Whom https believes; null for http. Shared with kept-alive connections.
  std::shared_ptr<const http::TlsClientContext> tls;

  EndpointGuard& guard() const { return pool->endpoint(number); }
};

class Fleet {
 public:
  // config outlives the fleet.
  Fleet(const GatewayConfig& config, uint64_t seed, int64_t now_ns);
  // Errors: those of TlsClientContext::load.
  Status load_tls();

  std::deque<Endpoint>& endpoints() { return endpoints_; }
  // Those of an upstream, by its place in the configuration.
  std::span<Endpoint* const> of(size_t upstream) const { return members_[upstream]; }
  PoolGuard& pool(size_t upstream) { return pools_[upstream]; }

 private:
  std::deque<PoolGuard> pools_;  // they stay where they are, as the next
  std::deque<Endpoint> endpoints_;
  std::vector<std::vector<Endpoint*>> members_;
};

}  // namespace weir::gateway
