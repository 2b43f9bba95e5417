#include "gateway/instruments.h"

namespace weir::gateway {
namespace {

const std::vector<double> kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                      2.5,   5,    10,    20,   40,  80,   160, 320};
const std::vector<double> kOverhead = {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002,
                                       0.005,   0.01,   0.02,   0.05,   0.1};

}  // namespace

Instruments::Instruments(const GatewayConfig& config)
    : http(registry),
      requests(registry.counter_family("weir_gateway_requests_total",
                                       "Requests of clients by how they ended", "end")),
      retries(registry.counter_family("weir_gateway_retries_total",
                                      "After an attempt that failed: sent again, or why not",
                                      "decision")),
      hedges(registry.counter_family("weir_gateway_hedges_total",
                                     "After a late first byte: sent twice (none), or why not",
                                     "decision")),
      prompt_budget(registry.counter_family("weir_gateway_prompt_budget_total",
                                            "Prompts that were made shorter", "action")),
      redacted(registry.counter("weir_gateway_redacted_total", "Values taken out of prompts")),
      leaks(registry.counter("weir_gateway_leaks_total", "Answers in which a key showed")),
      reloads(registry.counter_family("weir_gateway_reloads_total",
                                      "Configurations read again: good or refused", "result")),
      shed(registry.counter_family("weir_gateway_shed_total",
                                   "Requests refused because their model was full", "reason")),
      in_flight(registry.gauge("weir_gateway_in_flight", "Requests without a whole answer")),
      log_lines_lost(registry.counter("weir_gateway_log_lines_lost_total",
                                      "Lines that the log's file did not take")),
      request_s(registry.histogram("weir_gateway_request_seconds",
                                   "From a request's last byte to its answer's last", kSeconds)),
      first_byte_s(registry.histogram("weir_gateway_first_byte_seconds",
                                      "From a request's last byte to its answer's first",
                                      kSeconds)),
      overhead_s(registry.histogram("weir_gateway_overhead_seconds",
                                    "From a request's last byte to the first one sent upstream",
                                    kOverhead)) {
  for (const UpstreamConfig& u : config.upstreams) {
    add_upstream(u.name);
    endpoints_up.find(u.name)->second.set(static_cast<double>(u.endpoints.size()));
  }
}

void Instruments::add_upstream(const std::string& name) {
  if (attempts.contains(name)) return;
  const telemetry::Labels labels{{"upstream", name}};
  attempts.emplace(
      name, registry.counter_family("weir_gateway_attempts_total",
                                    "Attempts at an upstream by how they ended", "end", labels));
  endpoints_up.emplace(
      name, registry.gauge("weir_gateway_endpoints_up", "Endpoints that take requests", labels));
  discoveries.emplace(
      name, registry.counter_family("weir_gateway_discoveries_total",
                                    "Answers about who is in a pool: good, or what was wrong",
                                    "result", labels));
  scrapes.emplace(name, registry.counter_family("weir_gateway_scrapes_total",
                                                "Readings of endpoints' metrics: good, or why not",
                                                "result", labels));
  signals_stale.emplace(
      name, registry.gauge("weir_gateway_signals_stale",
                           "Endpoints whose signals are too old to be believed", labels));
}

void Instruments::remove_upstream(const std::string& name) {
  attempts.erase(name);
  endpoints_up.erase(name);
  discoveries.erase(name);
  scrapes.erase(name);
  signals_stale.erase(name);
  registry.remove("upstream", name);
}

}  // namespace weir::gateway
