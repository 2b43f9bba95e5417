#include "gateway/proxy.h"

#include <algorithm>

#include "gateway/call.h"

namespace weir::gateway {
namespace {

// What an idle pool may spend on retries at once.
constexpr double kMaxRetryTokens = 10;

}  // namespace

Proxy::Proxy(const GatewayConfig& config, http::Client& client, const Clock& clock,
             Instruments& instruments, telemetry::Logger& log, uint64_t seed)
    : config_(config),
      client_(client),
      clock_(clock),
      instruments_(instruments),
      log_(log),
      seed_(seed),
      fleet_(config),
      tenants_(clock) {
  for (const ModelConfig& m : config.models) {
    models_.emplace(m.name, &m);
    retry_tokens_.emplace(&m, kMaxRetryTokens);
  }
}

Proxy::~Proxy() = default;

void Proxy::handle(http::Request request, http::ResponseWriter writer,
                   std::unique_ptr<Place> place) {
  std::make_shared<Call>(*this, std::move(request), std::move(writer), std::move(place))->begin();
}

const ModelConfig* Proxy::model(std::string_view name) const {
  const auto found = models_.find(std::string(name));
  return found == models_.end() ? nullptr : found->second;
}

Proxy::Choice Proxy::choose(const ModelConfig& model, std::span<const Endpoint* const> tried) {
  if (tried.empty()) {
    double& tokens = retry_tokens_[&model];
    tokens = std::min(tokens + model.retries.budget_ratio, kMaxRetryTokens);
  }
  Choice best;
  for (const TargetConfig& t : model.targets) {
    if (t.weight == 0 || (best.endpoint != nullptr && t.tier > best.target->tier)) continue;
    for (Endpoint* e : fleet_.of(t.upstream)) {
      if (!e->up || e->in_flight >= e->upstream->max_in_flight) continue;
      if (std::find(tried.begin(), tried.end(), e) != tried.end()) continue;
      const bool better = best.endpoint == nullptr || t.tier < best.target->tier ||
                          e->in_flight < best.endpoint->in_flight;
      if (better) best = {e, &t};
    }
  }
  return best;
}

bool Proxy::take_retry(const ModelConfig& model) {
  double& tokens = retry_tokens_[&model];
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

}  // namespace weir::gateway
