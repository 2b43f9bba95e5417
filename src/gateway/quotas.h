// The quotas of a gateway: which limits a request is subject to, and the store that counts them.
// What the store says comes back on the proxy's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "gateway/quota_settings.h"
#include "gateway/state/quota.h"
#include "gateway/state/quota_metrics.h"
#include "http/client.h"

namespace weir::gateway {

// On the proxy's thread, unless said otherwise.
class Quotas {
 public:
  // On the proxy's thread, before the call returns or later.
  using Then = std::function<void(QuotaAnswer)>;

  // settings, registry, client (until close()) and clock are borrowed. Any thread. Errors: those
  // of MemoryQuotaStore::open and TlsClientContext::load; Redis is not waited for.
  static Result<std::unique_ptr<Quotas>> open(const QuotaSettings& settings,
                                              telemetry::Registry& registry, http::Client& client,
                                              const Clock& clock);
  ~Quotas();
  Quotas(const Quotas&) = delete;
  Quotas& operator=(const Quotas&) = delete;

  std::vector<QuotaLimit> limits_of(std::string_view tenant, std::string_view key,
                                    std::string_view model) const {
    return settings_.rules.limits_of(tenant, key, model);
  }
  void reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate, Then then);
  // limits: those of the reservation.
  void extend(const std::string& reservation, const std::vector<QuotaLimit>& limits,
              const QuotaAmounts& more, Then then);
  void reconcile(const std::string& reservation, const QuotaAmounts& actual);

  // Any thread. done: on any, with what is taken of each; empty when the store does not answer.
  void read(const std::vector<QuotaLimit>& limits, std::function<void(std::vector<int64_t>)> done);

  // Who still waits is told kUnavailable, nobody is told anything from then on. Before the client
  // goes, from another thread than its own; a second time does nothing.
  void close() WEIR_EXCLUDES(mutex_);

 private:
  struct Waiting {
    std::vector<std::string> rules;  // of its limits
    int64_t asked_ns = 0;
    Then then;
  };

  Quotas(const QuotaSettings& settings, telemetry::Registry& registry, http::Client& client,
         const Clock& clock);
  int64_t unix_ms() const { return clock_.unix_ns() / 1'000'000; }
  // What the store is to call.
  QuotaCallback wait(const std::vector<QuotaLimit>& limits, Then then);
  void answered(uint64_t id, QuotaAnswer answer);

  const QuotaSettings& settings_;
  const Clock& clock_;
  QuotaMetrics metrics_;
  std::unordered_map<uint64_t, Waiting> waiting_;
  uint64_t next_ = 0;
  Mutex mutex_;
  http::Client* client_ WEIR_GUARDED_BY(mutex_);  // null: closed
  std::unique_ptr<QuotaStore> store_;             // ends first: its threads call back
};

}  // namespace weir::gateway
