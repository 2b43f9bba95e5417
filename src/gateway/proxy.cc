#include "gateway/proxy.h"

#include <algorithm>
#include <utility>

#include "gateway/config_place.h"
#include "gateway/routing.h"
#include "gateway/visit.h"

namespace weir::gateway {

Proxy::Proxy(GatewayConfig config, http::Client& client, const Clock& clock,
             Instruments& instruments, telemetry::Logger& log, Ledger* ledger, uint64_t seed)
    : config_(hold(std::move(config))),
      client_(client),
      clock_(clock),
      instruments_(instruments),
      log_(log),
      ledger_(ledger),
      seed_(seed),
      fleet_(*config_, seed, clock.now_ns()),
      dispatcher_(*config_, fleet_, {random_u64(seed, 1, 0), random_u64(seed, 1, 1)}),
      tenants_(clock) {
  for (const ModelConfig& m : config_->models) hedges_.emplace(&m, HedgePolicy(m.hedge));
  know(*config_);
  routing_ = std::make_shared<Routing>(*this, *config_);
}

Proxy::~Proxy() { config_.reset(); }  // which is forgotten while the rest is there

std::shared_ptr<const GatewayConfig> Proxy::hold(GatewayConfig config) {
  std::shared_ptr<const GatewayConfig> made(new GatewayConfig(std::move(config)),
                                            [this](const GatewayConfig* c) {
                                              forget(*c);
                                              delete c;
                                            });
  held_.push_back(made.get());
  return made;
}

void Proxy::know(const GatewayConfig& config) {
  models_.clear();
  ReleaseStats known = std::exchange(releases_, {});  // releases that are gone are forgotten
  for (const ModelConfig& m : config.models) {
    models_.emplace(m.name, &m);
    if (m.shed.max_in_flight > 0) admissions_.try_emplace(&m, m.shed, client_, clock_);
    for (const TargetConfig& t : m.targets) {
      if (auto kept = known.extract(t.release); !kept.empty()) releases_.insert(std::move(kept));
      releases_[t.release];
    }
  }
  std::vector<std::string> secrets{config.admin_token};
  for (const UpstreamConfig& u : config.upstreams) secrets.push_back(u.key);
  secrets_ = std::make_shared<const Secrets>(std::move(secrets));
}

Status Proxy::open() {
  WEIR_TRY(fleet_.load_tls());
  auto answers = AnswerStore::make(
      config_->answers, {random_u64(seed_, 1, 2), random_u64(seed_, 1, 3)}, instruments_.registry);
  if (!answers.ok()) return at_key(*config_, "idempotency.file", answers.error());
  answers_ = std::move(*answers);
  return {};
}

void Proxy::forget(const GatewayConfig& config) {
  dispatcher_.forget(config);
  for (const ModelConfig& m : config.models) {
    hedges_.erase(&m);
    admissions_.erase(&m);
  }
  std::erase(held_, &config);
  std::vector<size_t> named;
  for (const GatewayConfig* c : held_)
    for (const ModelConfig& m : c->models)
      for (const TargetConfig& t : m.targets) named.push_back(t.upstream);
  fleet_.forget_closed(named);
}

void Proxy::adopt(GatewayConfig next) {
  next.answers = config_->answers;  // whose stores are as they were begun
  const std::shared_ptr<const GatewayConfig> config = hold(std::move(next));
  for (const ModelConfig& m : config->models) {
    const ModelConfig* before = model(m.name);
    const bool same = before != nullptr && before->hedge == m.hedge;
    hedges_.emplace(&m, same ? hedge(*before) : HedgePolicy(m.hedge));
  }
  dispatcher_.adopt(*config);
  know(*config);
  config_ = config;
  routing_ = std::make_shared<Routing>(*this, *config_);
}

void Proxy::handle(http::Request request, http::ResponseWriter writer,
                   std::unique_ptr<Place> place) {
  std::make_shared<Visit>(*this, std::move(request), std::move(writer), std::move(place))->begin();
}

void Proxy::cut_short() {
  std::vector<std::shared_ptr<Visit>> all;  // the end of one may be that of others
  all.reserve(visits_.size());
  for (Visit* visit : visits_)
    if (auto held = visit->weak_from_this().lock()) all.push_back(std::move(held));
  for (const auto& visit : all) visit->cut_short();
  // What the gateway asked for itself and waits for a place; gone while the rest is still there.
  std::vector<std::shared_ptr<Admission::Waiter>> waiting;
  for (auto& [model, admission] : admissions_) admission.release(waiting);
}

void Proxy::record(std::optional<LedgerRow> row) {
  if (row.has_value() && ledger_ != nullptr) ledger_->add(std::move(*row));
}

const ModelConfig* Proxy::model(std::string_view name) const {
  const auto found = models_.find(std::string(name));
  return found == models_.end() ? nullptr : found->second;
}

Admission* Proxy::admission(const ModelConfig& model) {
  const auto found = admissions_.find(&model);
  return found == admissions_.end() ? nullptr : &found->second;
}

int64_t Proxy::ready_in_ms(const ModelConfig& model, int64_t now_ns) {
  int64_t least = INT64_MAX;
  for (const TargetConfig& t : model.targets)
    least = std::min(least, fleet_.pool(t.upstream).ready_in_ms(now_ns));
  return least;
}

}  // namespace weir::gateway
