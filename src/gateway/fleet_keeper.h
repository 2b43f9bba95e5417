// Changes the fleet and tells everybody: probes and scrapes begin and end with endpoints, metrics
// and log say who came and went, and those that were taken out go once they are empty. On the
// proxy's thread; stops when the HTTP client does.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "gateway/prober.h"
#include "gateway/proxy.h"
#include "gateway/scraper.h"

namespace weir::gateway {

class FleetKeeper {
 public:
  // proxy outlives what the keeper has under way, which ends when its client does.
  explicit FleetKeeper(Proxy& proxy) : proxy_(proxy), prober_(proxy), scraper_(proxy) {}

  // For the endpoints that are there. Any thread.
  void start();
  // From now on these are the pool's (Fleet::set). source: who says so, for the log.
  void set(size_t pool, std::span<const EndpointConfig> endpoints, std::string_view source);

 private:
  void watch(const EndpointPtr& endpoint);
  void sweep_later();

  Proxy& proxy_;
  Prober prober_;
  Scraper scraper_;
  bool sweeping_ = false;  // a timer of it runs
};

}  // namespace weir::gateway
