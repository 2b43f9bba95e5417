#include "gateway/fleet_keeper.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "gateway/config_place.h"
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

Result<FleetKeeper::PoolTls> FleetKeeper::prepare(const GatewayConfig& config,
                                                  const UpstreamConfig& u) {
  PoolTls tls;
  auto endpoints = Fleet::tls_for(u);
  if (!endpoints.ok()) return at_key(config, Fleet::ca_key(u), endpoints.error());
  tls.endpoints = std::move(*endpoints);
  if (!u.kubernetes.has_value() || !u.kubernetes->api.tls) return tls;
  http::TlsClientOptions options;
  options.ca_file = u.kubernetes->ca_file;
  auto api = http::TlsClientContext::load(options);
  if (!api.ok())
    return at_key(config, fmt::format("upstreams.{}.endpoints.kubernetes.ca_file", u.name),
                  api.error());
  tls.api = std::move(*api);
  return tls;
}

Result<std::vector<FleetKeeper::PoolTls>> FleetKeeper::prepare(const GatewayConfig& config) {
  std::vector<PoolTls> out;
  for (const UpstreamConfig& u : config.upstreams) {
    WEIR_ASSIGN(PoolTls tls, prepare(config, u));
    out.push_back(std::move(tls));
  }
  return out;
}

void FleetKeeper::start(std::vector<PoolTls> tls) {
  proxy_.client().post([this, tls = std::move(tls)] {  // the fleet is that thread's
    for (const EndpointPtr& e : proxy_.fleet().slots())
      if (e != nullptr) watch(e);
    for (size_t pool = 0; pool < tls.size(); ++pool) discover(pool, tls[pool].api);
    started_ = true;
  });
}

void FleetKeeper::adopt(GatewayConfig& next, std::vector<PoolTls> tls) {
  Fleet& fleet = proxy_.fleet();
  std::vector<size_t> numbers;
  for (size_t i = 0; i < next.upstreams.size(); ++i) {
    const UpstreamConfig& u = next.upstreams[i];
    const std::optional<size_t> before = fleet.find(u.name);
    if (before.has_value() && same_settings(fleet.upstream(*before), u)) {
      // The files may have other authorities under the same names. Before the endpoints: new ones
      // begin with them.
      fleet.set_tls(*before, std::move(tls[i].endpoints));
      const auto discovery = discoveries_.find(*before);
      if (discovery == discoveries_.end()) {
        set(*before, u.endpoints, "file");
      } else {
        discovery->second->believe(tls[i].api);
      }
      numbers.push_back(*before);
    } else {
      numbers.push_back(renew(u, before, std::move(tls[i])));
    }
  }
  for (size_t pool = 0; pool < fleet.pools(); ++pool) {
    const bool used = std::find(numbers.begin(), numbers.end(), pool) != numbers.end();
    if (!used && !fleet.closed(pool)) close(pool, std::nullopt);
  }
  for (ModelConfig& m : next.models)
    for (TargetConfig& t : m.targets) t.upstream = numbers[t.upstream];
}

size_t FleetKeeper::renew(const UpstreamConfig& u, std::optional<size_t> before, PoolTls tls) {
  Fleet& fleet = proxy_.fleet();
  proxy_.instruments().add_upstream(u.name);
  const size_t pool = fleet.add_pool(u, std::move(tls.endpoints));
  std::vector<EndpointConfig> endpoints = u.endpoints;
  if (endpoints.empty() && before.has_value()) {  // until the first look of its discovery is over
    for (const EndpointPtr& e : fleet.of(*before)) endpoints.push_back(*e->config);
  }
  set(pool, endpoints, "file");
  if (before.has_value()) close(*before, pool);
  discover(pool, std::move(tls.api));
  return pool;
}

void FleetKeeper::close(size_t pool, std::optional<size_t> in_its_place) {
  if (const auto found = discoveries_.find(pool); found != discoveries_.end()) {
    found->second->stop();
    discoveries_.erase(found);
  }
  problems_.erase(pool);
  set(pool, {}, "file");
  proxy_.fleet().close_pool(pool, in_its_place);
  sweep_later();
}

void FleetKeeper::discover(size_t pool, Fleet::Tls api) {
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
    made = std::make_shared<KubernetesDiscovery>(*u.kubernetes, std::move(api), proxy_.client(),
                                                 proxy_.clock(), proxy_.draw(), sink);
  }
  made->start();
}

bool FleetKeeper::looked() const {
  return started_ && std::all_of(discoveries_.begin(), discoveries_.end(),
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
    forget_metrics();
  });
}

void FleetKeeper::forget_metrics() {
  const Fleet& fleet = proxy_.fleet();
  std::set<std::string, std::less<>> used;
  for (const EndpointPtr& e : fleet.slots())
    if (e != nullptr) used.insert(e->upstream->name);
  std::vector<std::string> gone;
  for (const auto& [name, counter] : proxy_.instruments().attempts)
    if (!used.contains(name) && !fleet.find(name).has_value()) gone.push_back(name);
  for (const std::string& name : gone) proxy_.instruments().remove_upstream(name);
}

}  // namespace weir::gateway
