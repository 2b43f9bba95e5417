// Asks every endpoint at intervals whether it is well. On the proxy's thread; stops when the HTTP
// client does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/proxy.h"

namespace weir::gateway {

// What an engine answers 200 on when it takes requests: "/ready", "/health"; "" for hosted APIs,
// which have nothing of the kind.
std::string_view health_path(std::string_view engine);

class Prober {
 public:
  // proxy outlives the prober's probes, which end when its client does.
  explicit Prober(Proxy& proxy) : proxy_(proxy) {}
  // The first probes; the others follow by themselves, when each endpoint's guard wants them.
  void start();

 private:
  class Probe;
  void later(Endpoint& endpoint);
  void probe(Endpoint& endpoint);
  void on_result(Endpoint& endpoint, bool good, std::string_view why);

  Proxy& proxy_;
};

}  // namespace weir::gateway
