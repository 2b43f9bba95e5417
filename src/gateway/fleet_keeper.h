// Changes the fleet and tells everybody: discoveries say who is in a pool, probes and scrapes begin
// and end with endpoints, metrics and log say who came and went, and those that were taken out go
// once they are empty. On the proxy's thread; stops when the HTTP client does.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

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

  // Begins with the endpoints and discoveries of all pools. Errors: those of TlsClientContext::load
  // for a cluster's ca_file; nothing has begun then.
  Status start();
  // The discovery of a pool, when it has one. Errors as above. On the proxy's thread, as the next.
  Status discover(size_t pool);
  // Every discovery has had its first look, so that who is missing is missing.
  bool looked() const;
  // By pool.
  const std::map<size_t, std::shared_ptr<Discovery>>& discoveries() const { return discoveries_; }
  // From now on these are the pool's (Fleet::set). source: who says so, for the log.
  void set(size_t pool, std::span<const EndpointConfig> endpoints, std::string_view source);

 private:
  // TLS for the API of a pool's cluster; null: none is needed.
  Result<std::shared_ptr<const http::TlsClientContext>> api_tls(size_t pool) const;
  void discover(size_t pool, std::shared_ptr<const http::TlsClientContext> tls);
  void note(size_t pool, std::string_view result, const std::string& why);
  void watch(const EndpointPtr& endpoint);
  void sweep_later();

  Proxy& proxy_;
  Prober prober_;
  Scraper scraper_;
  ResolveFn resolve_;
  // Shared with nobody: timers and answers hold it weakly.
  std::map<size_t, std::shared_ptr<Discovery>> discoveries_;
  std::map<size_t, std::string> problems_;  // that the log has already
  bool sweeping_ = false;                   // a timer of it runs
};

}  // namespace weir::gateway
