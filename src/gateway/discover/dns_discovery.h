// A pool by a name of the DNS: asked at intervals; while the name is gone the last known endpoints
// stay, up to an age.
#pragma once

#include <memory>

#include "base/clock.h"
#include "gateway/discover/discovery.h"
#include "http/client.h"

namespace weir::gateway {

class DnsDiscovery final : public Discovery, public std::enable_shared_from_this<DnsDiscovery> {
 public:
  // client: for its timer and thread; it and clock outlive the discovery. Own it by a shared_ptr:
  // timers and answers that come later see that it went.
  DnsDiscovery(DnsConfig config, ResolveFn resolve, http::Client& client, const Clock& clock,
               DiscoverySink sink);
  void start() override { ask(); }

 private:
  void ask();
  void on_answer(const Result<std::vector<std::string>>& addresses);
  void on_gone(const std::string& why);

  const DnsConfig config_;
  const ResolveFn resolve_;
  http::Client& client_;
  const Clock& clock_;
  const DiscoverySink sink_;
  int64_t asked_first_ns_ = 0;  // 0: not yet
  bool expired_ = false;        // nothing was found for keep_ms: nobody is left
};

// The endpoints that addresses stand for: the IPv4 ones, where there are none the IPv6 ones.
std::vector<EndpointConfig> dns_endpoints(const DnsConfig& config,
                                          const std::vector<std::string>& addresses);

}  // namespace weir::gateway
