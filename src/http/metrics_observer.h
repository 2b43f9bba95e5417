// Feeds telemetry::HttpMetrics from a server.
#pragma once

#include <string>

#include "http/server.h"
#include "telemetry/http_metrics.h"

namespace weir::http {

class MetricsObserver : public Observer {
 public:
  // metrics outlives the observer.
  explicit MetricsObserver(telemetry::HttpMetrics& metrics) : metrics_(metrics) {}
  void on_connection_opened() override {
    metrics_.connections.add(1);
    metrics_.connections_accepted.add();
  }
  void on_connection_closed() override { metrics_.connections.add(-1); }
  void on_response(int status, double seconds) override {
    metrics_.requests.with(std::to_string(status)).add();
    metrics_.request_s.observe(seconds);
  }
  void on_bytes(size_t received, size_t sent) override {
    metrics_.received_bytes.add(static_cast<double>(received));
    metrics_.sent_bytes.add(static_cast<double>(sent));
  }
  void on_limit(std::string_view limit) override { metrics_.limits.with(limit).add(); }
  void on_disconnect(CloseReason reason) override {
    metrics_.disconnects.with(close_reason_name(reason)).add();
  }

 private:
  telemetry::HttpMetrics& metrics_;
};

}  // namespace weir::http
