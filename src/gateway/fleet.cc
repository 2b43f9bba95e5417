#include "gateway/fleet.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

namespace weir::gateway {
namespace {

std::string address_of(const EndpointConfig& e) {
  return (e.to.tls ? "https://" : "http://") + e.to.authority() + e.to.path;
}

bool same_place(const EndpointConfig& a, const EndpointConfig& b) {
  return a.weight == b.weight && a.region == b.region && a.zone == b.zone;
}

}  // namespace

Fleet::Fleet(const GatewayConfig& config, uint64_t seed, int64_t now_ns) : seed_(seed) {
  for (const UpstreamConfig& u : config.upstreams) set(add_pool(u, nullptr), u.endpoints, now_ns);
}

size_t Fleet::add_pool(const UpstreamConfig& upstream, Tls tls) {
  auto made = std::make_unique<Pool>();
  made->home = std::make_shared<PoolHome>(upstream, seed_ + pools_made_++);
  made->tls = std::move(tls);
  const auto free = std::find(pools_.begin(), pools_.end(), nullptr);
  const auto number = static_cast<size_t>(free - pools_.begin());
  if (free == pools_.end()) {
    pools_.push_back(std::move(made));
  } else {
    *free = std::move(made);
  }
  return number;
}

void Fleet::close_pool(size_t pool, std::optional<size_t> in_its_place) {
  pools_[pool]->closed = true;
  pools_[pool]->in_its_place = in_its_place;
  ++version_;
}

void Fleet::forget_closed(std::span<const size_t> named) {
  for (size_t i = 0; i < pools_.size(); ++i) {
    if (pools_[i] == nullptr || !pools_[i]->closed) continue;
    if (std::find(named.begin(), named.end(), i) != named.end()) continue;
    const std::unique_ptr<Pool> gone = std::move(pools_[i]);
    for (const std::unique_ptr<Pool>& other : pools_)
      if (other != nullptr && other->in_its_place == i) other->in_its_place = gone->in_its_place;
  }
  while (!pools_.empty() && pools_.back() == nullptr) pools_.pop_back();
}

std::optional<size_t> Fleet::find(std::string_view name) const {
  for (size_t i = 0; i < pools_.size(); ++i)
    if (!closed(i) && upstream(i).name == name) return i;
  return std::nullopt;
}

std::span<const EndpointPtr> Fleet::of(size_t pool) const {
  while (pools_[pool]->in_its_place.has_value()) pool = *pools_[pool]->in_its_place;
  return pools_[pool]->members;
}

std::string Fleet::ca_key(const UpstreamConfig& upstream) {
  return fmt::format("upstreams.{}.ca_file", upstream.name);
}

Result<Fleet::Tls> Fleet::tls_for(const UpstreamConfig& upstream) {
  if (!needs_tls(upstream)) return Tls();
  http::TlsClientOptions options;
  options.ca_file = upstream.ca_file;
  // Addresses that were found stand for a name, and its certificate has that.
  if (upstream.dns.has_value()) options.server_name = upstream.dns->name;
  if (const auto& k = upstream.kubernetes; k.has_value())
    options.server_name = k->service + '.' + k->name_space + ".svc";
  auto made = http::TlsClientContext::load(options);
  if (!made.ok()) return made.error().with_context(ca_key(upstream));
  return made;
}

Status Fleet::load_tls() {
  for (size_t i = 0; i < pools_.size(); ++i) {
    WEIR_ASSIGN(Tls tls, tls_for(upstream(i)));
    set_tls(i, std::move(tls));
  }
  return {};
}

void Fleet::set_tls(size_t pool, Tls tls) {
  pools_[pool]->tls = std::move(tls);
  for (const EndpointPtr& e : pools_[pool]->members)
    if (e->config->to.tls) e->tls = pools_[pool]->tls;
}

EndpointPtr Fleet::add(Pool& pool, const EndpointConfig& config, int64_t now_ns) {
  auto made = std::make_shared<Endpoint>();
  made->home = pool.home;
  made->upstream = &pool.home->config;
  made->pool = &pool.home->guard;
  made->config = std::make_unique<const EndpointConfig>(config);
  made->number = made->pool->add(now_ns);
  made->serial = ++serials_;
  if (config.to.tls) made->tls = pool.tls;
  const auto free =
      used_ == slots_.size() ? slots_.end() : std::find(slots_.begin(), slots_.end(), nullptr);
  made->index = static_cast<uint32_t>(free - slots_.begin());
  if (free == slots_.end()) {
    slots_.push_back(made);
  } else {
    *free = made;
  }
  ++used_;
  return made;
}

Fleet::Change Fleet::set(size_t number, std::span<const EndpointConfig> endpoints, int64_t now_ns) {
  Pool& pool = *pools_[number];
  std::unordered_map<std::string, EndpointPtr> there;
  for (EndpointPtr& e : pool.members) there.emplace(address_of(*e->config), e);
  Change change;
  std::vector<EndpointPtr> next;
  std::unordered_map<std::string, size_t> taken;
  for (const EndpointConfig& e : endpoints) {
    const std::string address = address_of(e);
    if (!taken.emplace(address, next.size()).second) continue;
    if (const auto found = there.find(address); found != there.end()) {
      if (!same_place(*found->second->config, e)) {
        found->second->config = std::make_unique<const EndpointConfig>(e);
        ++version_;
      }
      next.push_back(std::move(found->second));
      there.erase(found);
    } else if (used_ >= kMaxEndpoints) {
      ++change.refused;
    } else {
      next.push_back(add(pool, e, now_ns));
      change.added.push_back(next.back());
    }
  }
  for (const EndpointPtr& e : pool.members) {
    if (!there.contains(address_of(*e->config))) continue;
    e->retired = true;
    e->guard().drain(true);
    change.retired.push_back(e);
  }
  pool.members = std::move(next);
  if (change.any()) ++version_;
  return change;
}

size_t Fleet::sweep() {
  size_t left = 0;
  for (EndpointPtr& slot : slots_) {
    if (slot == nullptr || !slot->retired) continue;
    if (slot->guard().in_flight() > 0) {
      ++left;
      continue;
    }
    slot->pool->remove(slot->number);
    slot->number = SIZE_MAX;
    slot.reset();
    --used_;
    ++version_;
  }
  return left;
}

}  // namespace weir::gateway
