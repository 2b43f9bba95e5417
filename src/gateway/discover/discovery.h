// Who says which endpoints a pool has: the interface of the ways to find out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/config.h"
#include "http/tls_client.h"

namespace weir::gateway {

// What can be said of a discovery, for operators.
struct DiscoveryState {
  std::string_view source;  // "dns", "kubernetes"
  bool answered = false;    // or has failed once: the first look is over
  bool good = false;        // the last answer was
  int64_t good_at_ns = 0;   // 0: never
  std::string problem;      // of the last answer that was not
};

// Runs until it is destroyed or the HTTP client is. On the proxy's thread.
class Discovery {
 public:
  virtual ~Discovery() = default;
  virtual void start() = 0;
  // Ends what it has under way, before it is destroyed. Not needed when the client is gone.
  virtual void stop() {}
  // Whom its API is believed by, for what it asks from now on; null for http.
  virtual void believe(const std::shared_ptr<const http::TlsClientContext>& /*tls*/) {}
  const DiscoveryState& state() const { return state_; }

 protected:
  DiscoveryState state_;
};

// What a discovery tells; both are called on the proxy's thread.
struct DiscoverySink {
  // These are all endpoints there are.
  std::function<void(const std::vector<EndpointConfig>&)> endpoints;
  // result: for the metric, "good" or what was wrong; why: for the log, "" when good.
  std::function<void(std::string_view result, const std::string& why)> note;
};

// The addresses of a name. The answer comes on the proxy's thread, at once or later.
using ResolveFn = std::function<void(const std::string& name,
                                     std::function<void(Result<std::vector<std::string>>)> answer)>;

}  // namespace weir::gateway
