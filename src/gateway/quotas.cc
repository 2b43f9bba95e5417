#include "gateway/quotas.h"

#include <future>
#include <thread>
#include <utility>

namespace weir::gateway {
namespace {

QuotaAnswer shutting_down() {
  QuotaAnswer a;
  a.verdict = QuotaVerdict::kUnavailable;
  a.why = "the gateway is shutting down";
  return a;
}

}  // namespace

Quotas::~Quotas() = default;

Result<std::shared_ptr<const http::TlsClientContext>> Quotas::load_tls(
    const QuotaSettings& settings) {
  if (!settings.redis_tls.has_value()) return std::shared_ptr<const http::TlsClientContext>();
  return http::TlsClientContext::load(*settings.redis_tls);
}

Result<std::unique_ptr<Quotas>> Quotas::open(const QuotaSettings& settings,
                                             telemetry::Registry& registry, http::Client& client,
                                             const Clock& clock, telemetry::Logger& log) {
  std::unique_ptr<Quotas> out(new Quotas(registry, client, clock, log));
  for (const QuotaRule& r : settings.rules.all()) out->metrics_.refused.with(r.name);
  for (const std::string& warning : settings.warnings) log.warn("quotas", {{"warning", warning}});
  if (settings.redis.has_value()) {
    RedisQuotaOptions options = *settings.redis;
    WEIR_ASSIGN(options.address.tls, load_tls(settings));
    out->store_ = std::make_unique<RedisQuotaStore>(options, out->metrics_);
  } else {
    WEIR_ASSIGN(out->store_,
                MemoryQuotaStore::open(settings.memory, out->metrics_, out->unix_ms()));
  }
  return out;
}

// The memory's answer comes before the call returns, and the request goes on at once; any other is
// posted. Who waits is kept here, so that it ends on this thread whoever answers.
QuotaCallback Quotas::wait(const std::vector<QuotaLimit>& limits, Then then) {
  const uint64_t id = next_++;
  Waiting& w = waiting_[id];
  w.rules.reserve(limits.size());
  for (const QuotaLimit& l : limits) w.rules.push_back(l.rule);
  w.asked_ns = clock_.now_ns();
  w.then = std::move(then);
  return [this, id, here = std::this_thread::get_id()](QuotaAnswer answer) {
    if (std::this_thread::get_id() == here) return answered(id, std::move(answer));
    MutexLock lock(mutex_);
    if (client_ == nullptr) return;
    client_->post([this, id, a = std::move(answer)] { answered(id, a); });
  };
}

// An operator hears of an outage once, and of its end.
void Quotas::watch(const QuotaAnswer& answer) {
  const bool down = answer.uncounted || answer.verdict == QuotaVerdict::kUnavailable;
  const Outage::News news = outage_.note(!down, clock_.now_ns());
  if (news == Outage::News::kOver) return log_.info("quota_store_back");
  if (news == Outage::News::kNone) return;
  log_.warn("quota_store_unavailable",
            {{"why", answer.why}, {"requests", answer.uncounted ? "uncounted" : "refused"}});
}

void Quotas::answered(uint64_t id, QuotaAnswer answer) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  const Waiting w = std::move(found->second);
  waiting_.erase(found);
  watch(answer);
  metrics_.store_s.observe(static_cast<double>(clock_.now_ns() - w.asked_ns) * 1e-9);
  if (answer.verdict == QuotaVerdict::kRefused && answer.refused < w.rules.size())
    metrics_.refused.with(w.rules[answer.refused]).add();
  w.then(std::move(answer));
}

void Quotas::reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                     Then then) {
  if (closed_) return then(shutting_down());
  store_->reserve(limits, estimate, unix_ms(), wait(limits, std::move(then)));
}

void Quotas::extend(const std::string& reservation, const std::vector<QuotaLimit>& limits,
                    const QuotaAmounts& more, Then then) {
  if (closed_) return then(shutting_down());
  store_->extend(reservation, more, unix_ms(), wait(limits, std::move(then)));
}

void Quotas::reconcile(const std::string& reservation, const QuotaAmounts& actual) {
  store_->reconcile(reservation, actual, unix_ms());
}

void Quotas::read(const std::vector<QuotaLimit>& limits,
                  std::function<void(std::vector<int64_t>)> done) {
  store_->read(limits, unix_ms(), std::move(done));
}

void Quotas::close() {
  std::promise<void> told;
  {
    MutexLock lock(mutex_);
    if (client_ == nullptr) return;
    client_->post([this, &told] {
      closed_ = true;
      while (!waiting_.empty()) answered(waiting_.begin()->first, shutting_down());
      told.set_value();
    });
    client_ = nullptr;
  }
  told.get_future().wait();
}

}  // namespace weir::gateway
