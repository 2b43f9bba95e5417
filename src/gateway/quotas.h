// The store that counts the quotas of a gateway. What it says comes back on the proxy's thread.
// Which limits a request is subject to is its configuration's (QuotaSettings::rules), which may
// change while the store stays.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "base/units.h"
#include "gateway/quota_settings.h"
#include "gateway/state/outage.h"
#include "gateway/state/quota.h"
#include "gateway/state/quota_metrics.h"
#include "http/client.h"
#include "http/tls_client.h"
#include "telemetry/log.h"

namespace weir::gateway {

// On the proxy's thread, unless said otherwise.
class Quotas {
 public:
  // On the proxy's thread, before the call returns or later.
  using Then = std::function<void(QuotaAnswer)>;

  // registry, client (until close()), clock and log are borrowed. Any thread. Errors: those of
  // MemoryQuotaStore::open and TlsClientContext::load; Redis is not waited for.
  static Result<std::unique_ptr<Quotas>> open(const QuotaSettings& settings,
                                              telemetry::Registry& registry, http::Client& client,
                                              const Clock& clock, telemetry::Logger& log);
  // Whom a Redis with TLS is believed by; null: there is none. Errors: those of
  // TlsClientContext::load.
  static Result<std::shared_ptr<const http::TlsClientContext>> load_tls(
      const QuotaSettings& settings);
  ~Quotas();
  Quotas(const Quotas&) = delete;
  Quotas& operator=(const Quotas&) = delete;

  int64_t unix_ms() const { return clock_.unix_ns() / kNsPerMs; }  // by which windows go

  void reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate, Then then);
  // limits: those of the reservation.
  void extend(const std::string& reservation, const std::vector<QuotaLimit>& limits,
              const QuotaAmounts& more, Then then);
  void reconcile(const std::string& reservation, const QuotaAmounts& actual);

  // Any thread. done: on any, with what is taken of each; empty when the store does not answer.
  void read(const std::vector<QuotaLimit>& limits, std::function<void(std::vector<int64_t>)> done);

  // Who waits, and who asks from then on, is told kUnavailable at once. Before the client goes,
  // from another thread than its own; a second time does nothing.
  void close() WEIR_EXCLUDES(mutex_);

 private:
  struct Waiting {
    std::vector<std::string> rules;  // of its limits
    int64_t asked_ns = 0;
    Then then;
  };

  Quotas(telemetry::Registry& registry, http::Client& client, const Clock& clock,
         telemetry::Logger& log)
      : clock_(clock), log_(log), metrics_(registry), client_(&client) {}
  // What the store is to call.
  QuotaCallback wait(const std::vector<QuotaLimit>& limits, Then then);
  void answered(uint64_t id, QuotaAnswer answer);
  void watch(const QuotaAnswer& answer);

  const Clock& clock_;
  telemetry::Logger& log_;
  QuotaMetrics metrics_;
  std::unordered_map<uint64_t, Waiting> waiting_;
  uint64_t next_ = 0;
  Outage outage_;        // of the store: answers that came without it
  bool closed_ = false;  // nobody waits from now on
  Mutex mutex_;
  http::Client* client_ WEIR_GUARDED_BY(mutex_);  // null: closed
  std::unique_ptr<QuotaStore> store_;             // ends first: its threads call back
};

}  // namespace weir::gateway
