// The metrics of a gateway beside those of its HTTP server (weir_http_*).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/config.h"
#include "telemetry/http_metrics.h"
#include "telemetry/metrics.h"

namespace weir::gateway {

// A counter of an upstream with one more label, whose values appear at run time; at most
// CounterFamily's number of them, later ones count as "other". A CounterFamily has labels of its
// own for one upstream only: Prometheus' library knows one set of them for a name. One thread.
class UpstreamCounters {
 public:
  UpstreamCounters(telemetry::Registry& registry, std::string name, std::string help,
                   std::string label, std::string upstream)
      : registry_(registry),
        name_(std::move(name)),
        help_(std::move(help)),
        label_(std::move(label)),
        upstream_(std::move(upstream)) {}
  telemetry::Counter with(std::string_view value);

 private:
  telemetry::Registry& registry_;
  std::string name_;
  std::string help_;
  std::string label_;
  std::string upstream_;
  std::map<std::string, telemetry::Counter, std::less<>> known_;
};

struct Instruments {
  explicit Instruments(const GatewayConfig& config);
  // Those of an upstream; nothing when they are there.
  void add_upstream(const std::string& name);

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
  telemetry::Histogram request_s;     // weir_gateway_request_seconds
  telemetry::Histogram first_byte_s;  // weir_gateway_first_byte_seconds
  telemetry::Histogram overhead_s;    // weir_gateway_overhead_seconds: read to handed to a socket
  // weir_gateway_attempts_total{upstream,end}; by upstream.
  std::map<std::string, UpstreamCounters, std::less<>> attempts;
  // weir_gateway_endpoints_up{upstream}: those in use that are well
  std::map<std::string, telemetry::Gauge, std::less<>> endpoints_up;
  // weir_gateway_discoveries_total{upstream,result}: answers of DNS or Kubernetes: "good", or what
  // was wrong
  std::map<std::string, UpstreamCounters, std::less<>> discoveries;
  // weir_gateway_scrapes_total{upstream,result}: "good", or why not
  std::map<std::string, UpstreamCounters, std::less<>> scrapes;
  // weir_gateway_signals_stale{upstream}: endpoints whose signals are not believed
  std::map<std::string, telemetry::Gauge, std::less<>> signals_stale;
};

}  // namespace weir::gateway
