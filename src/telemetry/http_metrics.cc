#include "telemetry/http_metrics.h"

namespace weir::telemetry {

HttpMetrics::HttpMetrics(Registry& r) {
  connections = r.gauge("weir_http_connections", "Open connections.");
  connections_accepted = r.counter("weir_http_connections_accepted_total", "Connections accepted.");
  requests = r.counter_family("weir_http_requests_total", "Requests answered.", "status");
  request_s = r.histogram(
      "weir_http_request_seconds", "Last byte of the request to last byte of the answer, seconds.",
      {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120});
  received_bytes = r.counter("weir_http_received_bytes_total", "Bytes received.");
  sent_bytes = r.counter("weir_http_sent_bytes_total", "Bytes sent.");
  limits = r.counter_family("weir_http_limits_total", "Times a limit or timeout was hit.", "limit");
  disconnects = r.counter_family("weir_http_disconnects_total", "Responses cut short.", "reason");
  // So that rates have a zero to start from.
  requests.with("200");
  for (const char* limit : {"header_timeout", "body_timeout", "body_bytes", "max_connections"})
    limits.with(limit);
  for (const char* reason : {"peer_closed", "write_timeout", "slow_reader"})
    disconnects.with(reason);
}

}  // namespace weir::telemetry
