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
  // The first probe of an endpoint; the others follow by themselves, when its guard wants them,
  // until it is retired.
  void begin(const EndpointPtr& endpoint);

 private:
  class Probe;
  void later(const EndpointPtr& endpoint);
  void probe(const EndpointPtr& endpoint);
  void on_result(const EndpointPtr& endpoint, bool good, std::string_view why);

  Proxy& proxy_;
};

}  // namespace weir::gateway
