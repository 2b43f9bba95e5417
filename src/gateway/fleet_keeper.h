// Changes the fleet and tells everybody: discoveries say who is in a pool, probes and scrapes begin
// and end with endpoints, metrics and log say who came and went, and those that were taken out go
// once they are empty. On the proxy's thread; stops when the HTTP client does.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/discover/discovery.h"
#include "gateway/prober.h"
#include "gateway/proxy.h"
#include "gateway/scraper.h"

namespace weir::gateway {

class FleetKeeper {
 public:
  // proxy outlives what the keeper has under way, which ends when its client does. resolve: of
  // dns pools; null: the client's.
  FleetKeeper(Proxy& proxy, ResolveFn resolve);

  // What the pools of a configuration read from files: whom https is believed by.
  struct PoolTls {
    Fleet::Tls endpoints;  // null: not needed
    Fleet::Tls api;        // of its cluster; null: not needed
  };
  // Of an upstream of the configuration, and by upstream. Any thread. Errors: those of
  // TlsClientContext::load, at the key (at_key).
  static Result<PoolTls> prepare(const GatewayConfig& config, const UpstreamConfig& u);
  static Result<std::vector<PoolTls>> prepare(const GatewayConfig& config);

  // Begins with the endpoints and discoveries that there are. Any thread, once.
  void start(std::vector<PoolTls> tls);
  // The pools become those of another configuration, whose targets get the fleet's numbers.
  // Endpoints of pools with the same settings keep their state and get the authorities; a pool that
  // has others begins anew, with what it has found so far. tls: by upstream.
  void adopt(GatewayConfig& next, std::vector<PoolTls> tls);
  // Every discovery has had its first look, so that who is missing is missing.
  bool looked() const;
  // By pool.
  const std::map<size_t, std::shared_ptr<Discovery>>& discoveries() const { return discoveries_; }
  // From now on these are the pool's (Fleet::set). source: who says so, for the log.
  void set(size_t pool, std::span<const EndpointConfig> endpoints, std::string_view source);

 private:
  void discover(size_t pool, Fleet::Tls api);
  size_t renew(const UpstreamConfig& u, std::optional<size_t> before, PoolTls tls);
  void close(size_t pool, std::optional<size_t> in_its_place);
  void note(size_t pool, std::string_view result, const std::string& why);
  void watch(const EndpointPtr& endpoint);
  void sweep_later();
  // The metrics of upstreams that no file names and no request is under way to.
  void forget_metrics();

  Proxy& proxy_;
  Prober prober_;
  Scraper scraper_;
  ResolveFn resolve_;
  // Shared with nobody: timers and answers hold it weakly.
  std::map<size_t, std::shared_ptr<Discovery>> discoveries_;
  std::map<size_t, std::string> problems_;  // that the log has already
  bool started_ = false;                    // discoveries_ are those that there are
  bool sweeping_ = false;                   // a timer of it runs
};

}  // namespace weir::gateway
