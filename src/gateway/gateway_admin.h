// The admin listener of a gateway: what the fleet, the releases, the cache and the quotas are like,
// and what an operator may change without a reload. docs/gateway.md has its routes.
//
// Its handlers run on a thread of its own; what the proxy knows is asked on the proxy's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "access/admin_routes.h"
#include "access/keyring.h"
#include "base/clock.h"
#include "base/result.h"
#include "gateway/config.h"
#include "gateway/fleet_keeper.h"
#include "gateway/proxy.h"
#include "gateway/quotas.h"
#include "http/client.h"
#include "http/server.h"
#include "telemetry/log.h"

namespace weir::gateway {

class GatewayAdmin {
 public:
  // Of which gateway. All of it outlives the listener but the client, which ends after stop() and
  // with it what was asked on its thread.
  struct About {
    const GatewayConfig& config;  // that it was started with: where to listen, and the token
    Proxy& proxy;
    FleetKeeper& keeper;
    Quotas& quotas;
    http::Client& client;
    const Clock& clock;
    telemetry::Logger& log;
    std::function<void()> drain;              // any thread
    std::function<http::Response()> metrics;  // on the proxy's thread: what /metrics says
    // On the proxy's thread; null: nobody needs a key. Shared: a reload brings others.
    std::function<std::shared_ptr<const access::Keyring>()> keys;
    // Reads the configuration again; the keys that need a restart. Null: it came from no file.
    std::function<Result<std::vector<std::string>>()> reload;
  };

  // seed: of the ids of requests. Errors: kIo when the port is taken or not permitted.
  static Result<std::unique_ptr<GatewayAdmin>> listen(About about, uint64_t seed);
  GatewayAdmin(const GatewayAdmin&) = delete;
  GatewayAdmin& operator=(const GatewayAdmin&) = delete;

  uint16_t port() const { return http_->port(); }
  // Takes no more requests. Before the client ends.
  void stop() { http_->stop(); }

 private:
  explicit GatewayAdmin(About about)
      : about_(std::move(about)), routes_(about_.config.admin_token) {}

  // What is said of the proxy, as JSON.
  using Answer = std::function<Result<std::string>(Proxy&, const http::Request&)>;
  void tell(const std::string& method, std::string_view path, Answer answer);
  void show_quotas(const std::string& query, const std::shared_ptr<http::ResponseWriter>& answer);
  void add_routes();

  const About about_;
  access::AdminRoutes routes_;
  std::unique_ptr<http::Server> http_;  // never null once it listens
};

}  // namespace weir::gateway
