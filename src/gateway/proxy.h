// Takes the requests of clients and sees each through to its end: which upstream, how often, what
// goes back. All state of the gateway that changes with requests is here and in what it holds.
//
// Threads: everything runs on the I/O thread that the listener and the HTTP client share ("the
// proxy's thread").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/rng.h"
#include "gateway/config.h"
#include "gateway/dispatcher.h"
#include "gateway/fleet.h"
#include "gateway/instruments.h"
#include "gateway/release_stats.h"
#include "gateway/tenants.h"
#include "http/client.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "telemetry/log.h"

namespace weir::gateway {

class Routing;

class Proxy {
 public:
  // All borrowed, ledger may be null; they outlive the proxy's requests, which end when the client
  // does.
  Proxy(const GatewayConfig& config, http::Client& client, const Clock& clock,
        Instruments& instruments, telemetry::Logger& log, Ledger* ledger, uint64_t seed);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // A request for one of the paths that go to upstreams.
  // place: of its tenant; null when nobody needs a key.
  void handle(http::Request request, http::ResponseWriter writer, std::unique_ptr<Place> place);

  const ModelConfig* model(std::string_view name) const;
  HedgePolicy& hedge(const ModelConfig& model) { return hedges_.find(&model)->second; }
  // Until some endpoint of the model may be asked again.
  int64_t ready_in_ms(const ModelConfig& model, int64_t now_ns);
  uint64_t draw() { return random_u64(seed_, 0, draws_++); }

  ReleaseStats& releases() { return releases_; }
  Fleet& fleet() { return fleet_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  Tenants& tenants() { return tenants_; }
  Routing& routing() { return *routing_; }
  http::Client& client() { return client_; }
  const Clock& clock() const { return clock_; }
  Instruments& instruments() { return instruments_; }
  telemetry::Logger& log() { return log_; }
  Ledger* ledger() { return ledger_; }
  const GatewayConfig& config() const { return config_; }

 private:
  const GatewayConfig& config_;
  http::Client& client_;
  const Clock& clock_;
  Instruments& instruments_;
  telemetry::Logger& log_;
  Ledger* const ledger_;  // null: none
  const uint64_t seed_;
  uint64_t draws_ = 0;
  Fleet fleet_;
  Dispatcher dispatcher_;
  ReleaseStats releases_;
  Tenants tenants_;
  std::unordered_map<std::string, const ModelConfig*> models_;
  std::unordered_map<const ModelConfig*, HedgePolicy> hedges_;
  std::unique_ptr<Routing> routing_;
};

}  // namespace weir::gateway
