// Asks every endpoint at intervals what it says of its load (capacity.h), for the policies that
// look at queues. On the proxy's thread; stops when the HTTP client does.
#pragma once

#include <string_view>

#include "gateway/proxy.h"

namespace weir::gateway {

class Scraper {
 public:
  // proxy outlives the scrapes, which end when its client does.
  explicit Scraper(Proxy& proxy) : proxy_(proxy) {}
  // From now until it is retired; nothing where the upstream's metrics are not read.
  void begin(const EndpointPtr& endpoint);
  // It was retired: it is no longer counted among the stale ones.
  void forget(Endpoint& endpoint);

 private:
  class Scrape;
  void later(const EndpointPtr& endpoint);
  void scrape(const EndpointPtr& endpoint);
  // result: for the metric; why: for the log, of what was no good.
  void on_answer(const EndpointPtr& endpoint, std::string_view result, std::string_view why);
  void judge(Endpoint& endpoint, std::string_view why);

  Proxy& proxy_;
};

}  // namespace weir::gateway
