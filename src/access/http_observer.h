// What the HTTP server tells about itself: metrics, and a line of the access log for each request.
#pragma once

#include "http/metrics_observer.h"
#include "telemetry/log.h"

namespace weir::access {

// On the I/O thread. Both are borrowed.
class HttpObserver final : public http::MetricsObserver {
 public:
  HttpObserver(telemetry::HttpMetrics& metrics, telemetry::Logger& log)
      : MetricsObserver(metrics), log_(log) {}

  // Event "request". Debug for what probes and scrapers ask for, warn for 5xx, else info. Paths are
  // logged as the pattern they matched, else "unknown", so that nothing a client made up gets in.
  // With model and upstream where the model is told.
  void on_request_end(const http::RequestRecord& request) override;

 private:
  telemetry::Logger& log_;
};

}  // namespace weir::access
