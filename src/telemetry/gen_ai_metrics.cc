#include "telemetry/gen_ai_metrics.h"

namespace weir::telemetry {
namespace {

const std::vector<double> kDurationBuckets = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                              1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
const std::vector<double> kFirstTokenBuckets = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};
const std::vector<double> kPerTokenBuckets = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                              0.3,  0.4,   0.5,  0.75,  1.0, 2.5};

}  // namespace

GenAiMetrics::GenAiMetrics(Registry& registry, const std::string& model_name)
    : registry_(registry), model_(model_name) {
  // So that the names are there before the first request.
  registry_.histogram("gen_ai_server_request_duration_seconds",
                      "Generative AI server request duration, seconds.", kDurationBuckets,
                      labels("chat"));
  registry_.histogram("gen_ai_server_time_to_first_token_seconds",
                      "Time to the first token of successful answers, seconds.", kFirstTokenBuckets,
                      labels("chat"));
  registry_.histogram("gen_ai_server_time_per_output_token_seconds",
                      "Time per output token after the first of successful answers, seconds.",
                      kPerTokenBuckets, labels("chat"));
}

Labels GenAiMetrics::labels(const std::string& operation) const {
  return {{"gen_ai_operation_name", operation},
          {"gen_ai_provider_name", std::string(kGenAiProvider)},
          {"gen_ai_request_model", model_},
          {"gen_ai_response_model", model_}};
}

void GenAiMetrics::request_duration(const std::string& operation, const std::string& error_type,
                                    double seconds) const {
  Labels l = labels(operation);
  if (!error_type.empty()) l["error_type"] = error_type;
  registry_
      .histogram("gen_ai_server_request_duration_seconds",
                 "Generative AI server request duration, seconds.", kDurationBuckets, l)
      .observe(seconds);
}

void GenAiMetrics::time_to_first_token(const std::string& operation, double seconds) const {
  registry_
      .histogram("gen_ai_server_time_to_first_token_seconds",
                 "Time to the first token of successful answers, seconds.", kFirstTokenBuckets,
                 labels(operation))
      .observe(seconds);
}

void GenAiMetrics::time_per_output_token(const std::string& operation, double seconds) const {
  registry_
      .histogram("gen_ai_server_time_per_output_token_seconds",
                 "Time per output token after the first of successful answers, seconds.",
                 kPerTokenBuckets, labels(operation))
      .observe(seconds);
}

}  // namespace weir::telemetry
