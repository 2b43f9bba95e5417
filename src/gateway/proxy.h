// Takes the requests of clients and sees each through to its end: which upstream, how often, what
// goes back. All state of the gateway that changes with requests is here and in what it holds.
//
// Threads: everything runs on the I/O thread that the listener and the HTTP client share ("the
// proxy's thread").
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "gateway/admission.h"
#include "gateway/answer_store.h"
#include "gateway/cache/redact.h"
#include "gateway/config.h"
#include "gateway/dispatcher.h"
#include "gateway/fleet.h"
#include "gateway/instruments.h"
#include "gateway/quotas.h"
#include "gateway/release_stats.h"
#include "gateway/tenants.h"
#include "http/client.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "telemetry/log.h"

namespace weir::gateway {

class Routing;
class Visit;

class Proxy {
 public:
  // All borrowed but the configuration, ledger may be null; they outlive the proxy's requests,
  // which end when the client does.
  Proxy(GatewayConfig config, http::Client& client, const Clock& clock, Instruments& instruments,
        telemetry::Logger& log, Ledger* ledger, uint64_t seed);
  ~Proxy();
  // Before the first request; borrowed, as the others.
  void set_quotas(Quotas& quotas) { quotas_ = &quotas; }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // Opens what may fail to: files of kept answers, certificates. Before the first request. Errors:
  // kIo, kCorrupt, kUsage.
  Status open();

  // A request for one of the paths that go to upstreams.
  // place: of its tenant; null when nobody needs a key.
  void handle(http::Request request, http::ResponseWriter writer, std::unique_ptr<Place> place);

  // The gateway ends: whoever has no whole answer is told so, by a 503 or in its stream, and what
  // was asked for it is cancelled.
  void cut_short();
  // Every visit there is, from its begin to its end.
  void arrived(Visit& visit) { visits_.insert(&visit); }
  void left(Visit& visit) { visits_.erase(&visit); }

  const ModelConfig* model(std::string_view name) const;
  HedgePolicy& hedge(const ModelConfig& model) { return hedges_.find(&model)->second; }
  // Null: the model takes all that come.
  Admission* admission(const ModelConfig& model);
  // Until some endpoint of the model may be asked again.
  int64_t ready_in_ms(const ModelConfig& model, int64_t now_ns);
  uint64_t draw() { return random_u64(seed_, 0, draws_++); }

  ReleaseStats& releases() { return releases_; }
  Fleet& fleet() { return fleet_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  Tenants& tenants() { return tenants_; }
  const std::shared_ptr<Routing>& routing() const { return routing_; }
  http::Client& client() { return client_; }
  const Clock& clock() const { return clock_; }
  Instruments& instruments() { return instruments_; }
  telemetry::Logger& log() { return log_; }
  AnswerStore& answers() { return *answers_; }
  // That the gateway itself holds: what must not show in an answer.
  const std::shared_ptr<const Secrets>& secrets() const { return secrets_; }
  Ledger* ledger() { return ledger_; }
  // Into the ledger, where there is one, if there is a row.
  void record(std::optional<LedgerRow> row);
  Quotas& quotas() { return *quotas_; }
  const GatewayConfig& config() const { return *config_; }
  // Kept by what goes on under it when there is another one.
  const std::shared_ptr<const GatewayConfig>& shared_config() const { return config_; }
  // From now on this one, for what comes from now on; calls end under the one that they began with,
  // which is kept until the last of them is over. Its targets have the fleet's numbers of pools.
  void adopt(GatewayConfig next);

 private:
  // Shared with the calls that began under it; forgotten by the proxy with the last of them.
  std::shared_ptr<const GatewayConfig> hold(GatewayConfig config);
  void know(const GatewayConfig& config);
  void forget(const GatewayConfig& config);

  std::vector<const GatewayConfig*> held_;       // by it and by the calls that began under them
  std::shared_ptr<const GatewayConfig> config_;  // the present one
  http::Client& client_;
  const Clock& clock_;
  Instruments& instruments_;
  telemetry::Logger& log_;
  Ledger* const ledger_;  // null: none
  Quotas* quotas_ = nullptr;
  const uint64_t seed_;
  uint64_t draws_ = 0;
  std::unordered_set<Visit*> visits_;  // owned by what they wait for
  Fleet fleet_;
  Dispatcher dispatcher_;
  ReleaseStats releases_;
  Tenants tenants_;
  std::unordered_map<std::string, const ModelConfig*> models_;
  std::unordered_map<const ModelConfig*, HedgePolicy> hedges_;
  std::unordered_map<const ModelConfig*, Admission> admissions_;
  std::shared_ptr<const Secrets> secrets_;  // shared with the answers that are watched for them
  std::shared_ptr<Routing> routing_;      // of the present configuration; shared with its requests
  std::unique_ptr<AnswerStore> answers_;  // holds visits, which refer to the rest
};

}  // namespace weir::gateway
