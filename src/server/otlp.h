// Telemetry to an OpenTelemetry collector: what an operator sets, and the transport over HTTP.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/post.h"
#include "telemetry/otlp_exporter.h"

namespace weir::server {

struct OtlpConfig {
  std::string endpoint;  // "http://127.0.0.1:4318"; empty: nothing is exported
  http::Headers headers;
  std::chrono::milliseconds timeout{10'000};  // of one attempt
  telemetry::OtlpOptions options;
};

class HttpOtlpTransport final : public telemetry::OtlpTransport {
 public:
  HttpOtlpTransport(http::Endpoint to, http::Headers headers, std::chrono::milliseconds timeout)
      : to_(std::move(to)), headers_(std::move(headers)), timeout_(timeout) {}
  Result<Answer> post(const std::string& path, const std::string& body) override;

 private:
  const http::Endpoint to_;
  const http::Headers headers_;
  const std::chrono::milliseconds timeout_;
};

// The exporter of a server, with what it works with.
class OtlpPipeline {
 public:
  // Errors: kUsage for an endpoint that is none. The registry, the metrics and the clock are
  // borrowed.
  static Result<std::unique_ptr<OtlpPipeline>> start(const OtlpConfig& config,
                                                     const telemetry::Registry& registry,
                                                     const telemetry::OtlpMetrics& own,
                                                     const Clock& clock);
  OtlpPipeline(std::unique_ptr<HttpOtlpTransport> transport, const OtlpConfig& config,
               const telemetry::Registry& registry, const telemetry::OtlpMetrics& own,
               const Clock& clock)
      : transport_(std::move(transport)),
        exporter_(config.options, *transport_, registry, own, clock) {}
  telemetry::SpanSink& sink() { return exporter_; }

 private:
  std::unique_ptr<HttpOtlpTransport> transport_;
  telemetry::OtlpExporter exporter_;  // last: its thread uses the transport
};

// "key1=value1,key2=value2", percent-encoded, as OTEL_RESOURCE_ATTRIBUTES and
// OTEL_EXPORTER_OTLP_HEADERS have it (a W3C baggage list without properties). Errors: kUsage.
Result<std::vector<std::pair<std::string, std::string>>> parse_key_values(std::string_view text);

}  // namespace weir::server
