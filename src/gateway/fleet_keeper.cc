#include "gateway/fleet_keeper.h"

#include <chrono>

namespace weir::gateway {
namespace {

// How often it is looked whether a retired endpoint is empty; it costs a place in tables only.
constexpr std::chrono::milliseconds kSweep{500};

}  // namespace

void FleetKeeper::start() {
  proxy_.client().post([this] {  // the fleet is that thread's
    for (const EndpointPtr& e : proxy_.fleet().slots())
      if (e != nullptr) watch(e);
  });
}

void FleetKeeper::watch(const EndpointPtr& endpoint) {
  prober_.begin(endpoint);
  scraper_.begin(endpoint);
}

void FleetKeeper::set(size_t pool, std::span<const EndpointConfig> endpoints,
                      std::string_view source) {
  Fleet& fleet = proxy_.fleet();
  const std::string& name = fleet.upstream(pool).name;
  const Fleet::Change change = fleet.set(pool, endpoints, proxy_.clock().now_ns());
  const telemetry::Gauge& up = proxy_.instruments().endpoints_up.find(name)->second;
  for (const EndpointPtr& e : change.added) {
    up.add(1);
    proxy_.log().info("endpoint_added",
                      {{"upstream", name}, {"endpoint", e->config->url}, {"source", source}});
    watch(e);
  }
  for (const EndpointPtr& e : change.retired) {
    if (e->guard().health().healthy()) up.add(-1);
    scraper_.forget(*e);
    proxy_.log().info("endpoint_retired", {{"upstream", name},
                                           {"endpoint", e->config->url},
                                           {"source", source},
                                           {"in_flight", e->guard().in_flight()}});
  }
  if (change.refused > 0)
    proxy_.log().error("endpoints_refused", {{"upstream", name},
                                             {"refused", change.refused},
                                             {"most", kMaxEndpoints},
                                             {"source", source}});
  if (!change.retired.empty()) sweep_later();
}

void FleetKeeper::sweep_later() {
  if (sweeping_) return;
  sweeping_ = true;
  proxy_.client().post_at(std::chrono::steady_clock::now() + kSweep, [this] {
    sweeping_ = false;
    if (proxy_.fleet().sweep() > 0) sweep_later();
  });
}

}  // namespace weir::gateway
