#include "gateway/proxy.h"

#include <algorithm>

#include "gateway/routing.h"
#include "gateway/visit.h"

namespace weir::gateway {
Proxy::Proxy(const GatewayConfig& config, http::Client& client, const Clock& clock,
             Instruments& instruments, telemetry::Logger& log, Ledger* ledger, uint64_t seed)
    : config_(config),
      client_(client),
      clock_(clock),
      instruments_(instruments),
      log_(log),
      ledger_(ledger),
      seed_(seed),
      fleet_(config, seed, clock.now_ns()),
      dispatcher_(config, fleet_, {random_u64(seed, 1, 0), random_u64(seed, 1, 1)}),
      tenants_(clock) {
  for (const ModelConfig& m : config.models) {
    models_.emplace(m.name, &m);
    hedges_.emplace(&m, HedgePolicy(m.hedge));
    for (const TargetConfig& t : m.targets) releases_[t.release];
  }
  routing_ = std::make_unique<Routing>(*this);
}

Proxy::~Proxy() = default;

void Proxy::handle(http::Request request, http::ResponseWriter writer,
                   std::unique_ptr<Place> place) {
  std::make_shared<Visit>(*this, std::move(request), std::move(writer), std::move(place))->begin();
}

const ModelConfig* Proxy::model(std::string_view name) const {
  const auto found = models_.find(std::string(name));
  return found == models_.end() ? nullptr : found->second;
}

int64_t Proxy::ready_in_ms(const ModelConfig& model, int64_t now_ns) {
  int64_t least = INT64_MAX;
  for (const TargetConfig& t : model.targets)
    least = std::min(least, fleet_.pool(t.upstream).ready_in_ms(now_ns));
  return least;
}

}  // namespace weir::gateway
