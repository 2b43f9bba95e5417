#include "gateway/discover/dns_discovery.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/units.h"

namespace weir::gateway {

std::vector<EndpointConfig> dns_endpoints(const DnsConfig& config,
                                          const std::vector<std::string>& addresses) {
  std::vector<EndpointConfig> out;
  for (const bool v4 : {true, false}) {
    if (!out.empty()) break;
    for (const std::string& address : addresses) {
      if ((address.find(':') == std::string::npos) != v4) continue;
      EndpointConfig e;
      e.url = fmt::format("{}://{}{}{}:{}{}", config.scheme, v4 ? "" : "[", address, v4 ? "" : "]",
                          config.port, config.path);
      auto to = http::parse_http_or_https_url(e.url);
      if (!to.ok()) continue;
      e.to = std::move(*to);
      e.region = config.region;
      e.zone = config.zone;
      out.push_back(std::move(e));
    }
  }
  return out;
}

DnsDiscovery::DnsDiscovery(DnsConfig config, ResolveFn resolve, http::Client& client,
                           const Clock& clock, DiscoverySink sink)
    : config_(std::move(config)),
      resolve_(std::move(resolve)),
      client_(client),
      clock_(clock),
      sink_(std::move(sink)) {
  state_.source = "dns";
}

void DnsDiscovery::ask() {
  if (asked_first_ns_ == 0) asked_first_ns_ = clock_.now_ns();
  resolve_(config_.name, [weak = weak_from_this()](const Result<std::vector<std::string>>& found) {
    if (const auto self = weak.lock()) self->on_answer(found);
  });
}

void DnsDiscovery::on_answer(const Result<std::vector<std::string>>& addresses) {
  state_.answered = true;
  const auto endpoints =
      addresses.ok() ? dns_endpoints(config_, *addresses) : std::vector<EndpointConfig>();
  if (endpoints.empty()) {
    on_gone(addresses.ok() ? "the name has no addresses" : addresses.error().message);
  } else {
    state_.good = true;
    state_.good_at_ns = clock_.now_ns();
    state_.problem.clear();
    expired_ = false;
    sink_.note("good", "");
    sink_.endpoints(endpoints);
  }
  client_.post_at(std::chrono::steady_clock::now() + std::chrono::milliseconds(config_.interval_ms),
                  [weak = weak_from_this()] {
                    if (const auto self = weak.lock()) self->ask();
                  });
}

void DnsDiscovery::on_gone(const std::string& why) {
  state_.good = false;
  state_.problem = why;
  sink_.note("gone", why);
  const int64_t since_ns = state_.good_at_ns != 0 ? state_.good_at_ns : asked_first_ns_;
  if (expired_ || clock_.now_ns() - since_ns < config_.keep_ms * kNsPerMs) return;
  expired_ = true;
  sink_.note("expired",
             fmt::format("nothing was found for keep_ms, {} ms: {}", config_.keep_ms, why));
  sink_.endpoints({});
}

}  // namespace weir::gateway
