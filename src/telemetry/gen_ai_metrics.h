// The server metrics of OpenTelemetry's conventions for generative AI, as histograms: over OTLP
// under the convention's names (gen_ai.server.request.duration, …), on /metrics under what its
// Prometheus rules make of them (gen_ai_server_request_duration_seconds). Buckets are the
// convention's: github.com/open-telemetry/semantic-conventions-genai,
// docs/gen-ai/gen-ai-metrics.md.
#pragma once

#include <string>
#include <string_view>

#include "telemetry/metrics.h"

namespace weir::telemetry {

inline constexpr std::string_view kGenAiProvider = "weir";  // gen_ai.provider.name

class GenAiMetrics {
 public:
  GenAiMetrics(Registry& registry, const std::string& model_name);

  // Any thread. operation: gen_ai.operation.name, of a small fixed set. error_type: a code of the
  // error table, or empty.
  void request_duration(const std::string& operation, const std::string& error_type,
                        double seconds) const;
  void time_to_first_token(const std::string& operation, double seconds) const;
  void time_per_output_token(const std::string& operation, double seconds) const;

 private:
  Labels labels(const std::string& operation) const;
  Registry& registry_;
  const std::string model_;
};

}  // namespace weir::telemetry
