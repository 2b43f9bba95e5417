// weir gateway: the HTTP listener, the proxy and the client behind it, wired together.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/config.h"
#include "gateway/discover/discovery.h"
#include "telemetry/log.h"

namespace weir::gateway {

class Gateway {
 public:
  // Reads the configuration again and hands it to reload(): the keys that need a restart.
  using ReloadFn = std::function<Result<std::vector<std::string>>()>;

  // Listens and takes requests. clock and log outlive the gateway. seed: from outside randomness.
  // resolve: of dns pools, on the gateway's own thread; null: the system's. reload_again: for
  // POST /admin/config/reload, on the admin listener's thread; null: there is nothing to read
  // again. Errors: those of the keys file; kUsage for an address beyond loopback without keys; kIo
  // when a port is taken or not permitted.
  static Result<std::unique_ptr<Gateway>> start(GatewayConfig config, const Clock& clock,
                                                telemetry::Logger& log, uint64_t seed,
                                                ResolveFn resolve = {}, ReloadFn reload_again = {});
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  uint16_t port() const;
  uint16_t admin_port() const;  // 0: no admin listener

  // Takes over another configuration: keys, pools, models, prices and limits of them. What is in
  // flight ends under the one that it began with; endpoints that stay keep their state. All or
  // nothing: after an error all stays as it was. The keys that differ and need a restart. Errors:
  // those of start(), and kUsage for a file without keys where there were some. One call at a time,
  // not from the gateway's thread, not after stop().
  Result<std::vector<std::string>> reload(GatewayConfig next);
  // Counts a file that could not be read as a refused reload.
  void reload_refused();

  // From now on /ready and new requests get 503; what is in flight goes on. Any thread.
  void drain();
  // Waits until every connection has its answer, at most `timeout`; whether it was enough.
  bool wait_drained(std::chrono::milliseconds timeout);
  // Tells whoever has no whole answer that there will be none: 503, or an error event where one
  // has begun. Not from the gateway's thread; wait_drained then gives it the time to go out.
  void cut_short();
  // Ends what is left.
  void stop();

 private:
  class Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::gateway
