// Metrics of an HTTP server; http/metrics_observer.h feeds them.
#pragma once

#include "telemetry/metrics.h"

namespace weir::telemetry {

struct HttpMetrics {
  explicit HttpMetrics(Registry& registry);
  Gauge connections;             // weir_http_connections
  Counter connections_accepted;  // weir_http_connections_accepted_total
  CounterFamily requests;        // weir_http_requests_total{status}
  Histogram
      request_s;  // weir_http_request_seconds: last byte of the request to last byte of the answer
  Counter received_bytes;  // weir_http_received_bytes_total
  Counter sent_bytes;      // weir_http_sent_bytes_total
  CounterFamily
      limits;  // weir_http_limits_total{limit}: a limit or timeout of http/server.h was hit
  CounterFamily disconnects;  // weir_http_disconnects_total{reason}: a response was cut short
};

}  // namespace weir::telemetry
