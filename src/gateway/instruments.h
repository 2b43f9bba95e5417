// The metrics of a gateway beside those of its HTTP server (weir_http_*).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "gateway/config.h"
#include "telemetry/http_metrics.h"
#include "telemetry/metrics.h"

namespace weir::gateway {

struct Instruments {
  explicit Instruments(const GatewayConfig& config);
  // Those of an upstream; nothing when they are there.
  void add_upstream(const std::string& name);
  // Takes them out. Nobody counts for it any more: it has no endpoint, not even a retired one.
  void remove_upstream(const std::string& name);

  telemetry::Registry registry;
  telemetry::HttpMetrics http;
  telemetry::CounterFamily requests;  // weir_gateway_requests_total{end}, one a request
  // weir_gateway_retries_total{decision}: "sent", or why not
  telemetry::CounterFamily retries;
  telemetry::CounterFamily hedges;  // weir_gateway_hedges_total{decision}: "none" was sent
  // weir_gateway_prompt_budget_total{action}: prompts that were made shorter
  telemetry::CounterFamily prompt_budget;
  telemetry::Counter redacted;        // weir_gateway_redacted_total: values taken out of prompts
  telemetry::Counter leaks;           // weir_gateway_leaks_total: answers in which a key showed
  telemetry::CounterFamily reloads;   // weir_gateway_reloads_total{result}: good, refused
  telemetry::CounterFamily shed;      // weir_gateway_shed_total{reason}
  telemetry::Gauge in_flight;         // weir_gateway_in_flight
  telemetry::Counter log_lines_lost;  // weir_gateway_log_lines_lost_total
  telemetry::Histogram request_s;     // weir_gateway_request_seconds
  telemetry::Histogram first_byte_s;  // weir_gateway_first_byte_seconds
  telemetry::Histogram overhead_s;    // weir_gateway_overhead_seconds: read to handed to a socket
  // weir_gateway_attempts_total{upstream,end}; by upstream.
  std::map<std::string, telemetry::CounterFamily, std::less<>> attempts;
  // weir_gateway_endpoints_up{upstream}: those in use that are well
  std::map<std::string, telemetry::Gauge, std::less<>> endpoints_up;
  // weir_gateway_discoveries_total{upstream,result}: answers of DNS or Kubernetes: "good", or what
  // was wrong
  std::map<std::string, telemetry::CounterFamily, std::less<>> discoveries;
  // weir_gateway_scrapes_total{upstream,result}: "good", or why not
  std::map<std::string, telemetry::CounterFamily, std::less<>> scrapes;
  // weir_gateway_signals_stale{upstream}: endpoints whose signals are not believed
  std::map<std::string, telemetry::Gauge, std::less<>> signals_stale;
};

}  // namespace weir::gateway
