#include "gateway/fleet_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "gateway/discover/dns_discovery.h"
#include "gateway/discover/kubernetes_discovery.h"

namespace weir::gateway {
namespace {

// How often it is looked whether a retired endpoint is empty; it costs a place in tables only.
constexpr std::chrono::milliseconds kSweep{500};

}  // namespace

FleetKeeper::FleetKeeper(Proxy& proxy, ResolveFn resolve)
    : proxy_(proxy), prober_(proxy), scraper_(proxy), resolve_(std::move(resolve)) {
  if (resolve_) return;
  resolve_ = [&client = proxy.client()](const std::string& name, http::Client::Resolved answer) {
    client.resolve(name, std::move(answer));
  };
}

Status FleetKeeper::start() {
  std::map<size_t, std::shared_ptr<const http::TlsClientContext>> tls;
  for (size_t pool = 0; pool < proxy_.fleet().pools(); ++pool) {
    WEIR_ASSIGN(tls[pool], api_tls(pool));
  }
  proxy_.client().post([this, tls = std::move(tls)] {  // the fleet is that thread's
    for (const EndpointPtr& e : proxy_.fleet().slots())
      if (e != nullptr) watch(e);
    for (const auto& [pool, api] : tls) discover(pool, api);
  });
  return {};
}

Result<std::shared_ptr<const http::TlsClientContext>> FleetKeeper::api_tls(size_t pool) const {
  const auto& kubernetes = proxy_.fleet().upstream(pool).kubernetes;
  if (!kubernetes.has_value() || !kubernetes->api.tls)
    return std::shared_ptr<const http::TlsClientContext>();
  http::TlsClientOptions options;
  options.ca_file = kubernetes->ca_file;
  return http::TlsClientContext::load(options);
}

Status FleetKeeper::discover(size_t pool) {
  WEIR_ASSIGN(auto tls, api_tls(pool));
  discover(pool, std::move(tls));
  return {};
}

void FleetKeeper::discover(size_t pool, std::shared_ptr<const http::TlsClientContext> tls) {
  const UpstreamConfig& u = proxy_.fleet().upstream(pool);
  if (!u.dns.has_value() && !u.kubernetes.has_value()) return;
  const std::string_view source = u.dns.has_value() ? "dns" : "kubernetes";
  const DiscoverySink sink{
      [this, pool, source](const std::vector<EndpointConfig>& endpoints) {
        set(pool, endpoints, source);
      },
      [this, pool](std::string_view result, const std::string& why) { note(pool, result, why); }};
  std::shared_ptr<Discovery>& made = discoveries_[pool];
  if (u.dns.has_value()) {
    made = std::make_shared<DnsDiscovery>(*u.dns, resolve_, proxy_.client(), proxy_.clock(), sink);
  } else {
    made = std::make_shared<KubernetesDiscovery>(*u.kubernetes, std::move(tls), proxy_.client(),
                                                 proxy_.clock(), proxy_.draw(), sink);
  }
  made->start();
}

bool FleetKeeper::looked() const {
  return std::all_of(discoveries_.begin(), discoveries_.end(),
                     [](const auto& d) { return d.second->state().answered; });
}

void FleetKeeper::note(size_t pool, std::string_view result, const std::string& why) {
  const std::string& name = proxy_.fleet().upstream(pool).name;
  proxy_.instruments().discoveries.find(name)->second.with(result).add();
  std::string& known = problems_[pool];
  if (why == known) return;
  if (!why.empty()) {
    proxy_.log().warn("discovery_failed", {{"upstream", name}, {"result", result}, {"why", why}});
  } else {
    proxy_.log().info("discovery_works", {{"upstream", name}});
  }
  known = why;
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
