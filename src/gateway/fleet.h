// The endpoints as they are at present: those of the file, and those that come and go by discovery.
// One thread: the proxy's.
//
// An endpoint that is taken out drains: it gets no new request, and what is under way there ends as
// it will. Once nothing is left its index may be another's; calls that still mean the old one keep
// it, and may not send there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/capacity.h"
#include "gateway/config.h"
#include "gateway/resilience/pool_guard.h"
#include "http/tls_client.h"

namespace weir::gateway {

// A pool as its endpoints see it. Shared with them: calls, probes and scrapes that hold an endpoint
// go on when its pool is no more.
struct PoolHome {
  PoolHome(const UpstreamConfig& u, uint64_t seed) : config(u), guard(u.guard, seed) {}
  const UpstreamConfig config;
  PoolGuard guard;
};

struct Endpoint {
  std::shared_ptr<PoolHome> home;            // never null, as the next three
  const UpstreamConfig* upstream = nullptr;  // of its home
  PoolGuard* pool = nullptr;                 // of its home
  std::unique_ptr<const EndpointConfig> config;
  size_t number = 0;          // in the pool; SIZE_MAX once it has left that
  uint32_t index = 0;         // in Fleet::slots()
  uint64_t serial = 0;        // no other endpoint of the fleet has it, before or after
  bool retired = false;       // it was taken out
  int64_t queued_tokens = 0;  // of prompts sent there, of whose answers no byte has come
  // What it said last of its load; nothing: never.
  std::optional<CapacityReport> report;
  int64_t asked_since_ns = 0;  // for it
  bool stale = false;          // that is too old to be believed; counted by Scraper
  // Whom https believes; null for http. Shared with kept-alive connections.
  std::shared_ptr<const http::TlsClientContext> tls;

  // Precondition: it has not left its pool; until it is retired it has not.
  EndpointGuard& guard() const { return pool->endpoint(number); }
};

// Shared: calls, probes and scrapes go on with an endpoint that was taken out meanwhile.
using EndpointPtr = std::shared_ptr<Endpoint>;

class Fleet {
 public:
  // seed: of every jitter. config: its upstreams are copied, with the endpoints of the file.
  Fleet(const GatewayConfig& config, uint64_t seed, int64_t now_ns);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Of a pool's https endpoints; null: it has none. Reads files. Errors: those of
  // TlsClientContext::load.
  using Tls = std::shared_ptr<const http::TlsClientContext>;
  static Result<Tls> tls_for(const UpstreamConfig& upstream);
  // The key of gateway.yaml that such an error names.
  static std::string ca_key(const UpstreamConfig& upstream);
  // For all pools. Errors as above.
  Status load_tls();

  // A pool beside those that are there, without endpoints; its number, which may have been that of
  // one that is no more. tls: as tls_for gives it.
  size_t add_pool(const UpstreamConfig& upstream, Tls tls);
  // Whom https is believed by in this pool from now on, also by endpoints that it has.
  void set_tls(size_t pool, Tls tls);
  // No configuration to come names the pool: of() gives the endpoints of the one in its place, for
  // calls that began before; none without one. Precondition: it has no members.
  void close_pool(size_t pool, std::optional<size_t> in_its_place);
  // Closed pools whose numbers are not among these are no more.
  void forget_closed(std::span<const size_t> named);
  // That pool of this name which was not closed; nothing when there is none.
  std::optional<size_t> find(std::string_view name) const;
  // Or no more.
  bool closed(size_t pool) const { return pools_[pool] == nullptr || pools_[pool]->closed; }

  // By index; null: free. Retired ones stand here until they are empty.
  std::span<const EndpointPtr> slots() const { return slots_; }
  // Of a pool, without retired ones. Pools have the numbers of the upstreams in the configuration
  // that the fleet began with; TargetConfig::upstream says which. Precondition of this and the next
  // two: the pool is not forgotten.
  std::span<const EndpointPtr> of(size_t pool) const;
  PoolGuard& pool(size_t pool) { return pools_[pool]->home->guard; }
  const UpstreamConfig& upstream(size_t pool) const { return pools_[pool]->home->config; }
  size_t pools() const { return pools_.size(); }  // numbers are below this
  // Another one after every change.
  uint64_t version() const { return version_; }

  struct Change {
    std::vector<EndpointPtr> added;
    std::vector<EndpointPtr> retired;
    size_t refused = 0;  // beyond kMaxEndpoints
    bool any() const { return !added.empty() || !retired.empty(); }
  };
  // From now on these are the pool's endpoints. One is known again by its address and keeps its
  // state, with the weight and the place that it has now; new ones begin with slow start; others
  // are retired. Of two with one address the first counts.
  Change set(size_t pool, std::span<const EndpointConfig> endpoints, int64_t now_ns);
  // Lets retired ones go that have nothing under way any more; how many are left.
  size_t sweep();

 private:
  struct Pool {
    std::shared_ptr<PoolHome> home;
    Tls tls;
    std::vector<EndpointPtr> members;
    bool closed = false;
    std::optional<size_t> in_its_place;  // once closed
  };
  EndpointPtr add(Pool& pool, const EndpointConfig& config, int64_t now_ns);

  std::vector<std::unique_ptr<Pool>> pools_;  // null: the number is free
  std::vector<EndpointPtr> slots_;
  size_t used_ = 0;  // of the slots
  uint64_t serials_ = 0;
  uint64_t pools_made_ = 0;
  uint64_t version_ = 1;
  uint64_t seed_;
};

}  // namespace weir::gateway
