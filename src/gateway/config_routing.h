// What gateway.yaml says of who answers a request beside the targets of the model it names: rules,
// cascades, routers by difficulty and shadows. Plain values, checked when they are read.
//
//   rules:
//     - {name: batch, headers: {x-batch: "*"}, models: [chat], to: cheap}
//   models:
//     cheap: {targets: [...]}
//     large: {targets: [...]}
//     chat:
//       cascade:
//         steps: [{model: cheap, check: {regex: "^\\{"}}, {model: large}]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/yaml.h"
#include "gateway/route/difficulty.h"
#include "gateway/route/rules.h"
#include "http/url.h"
#include "text/json.h"

namespace weir::gateway {

class ConfigReader;
struct GatewayConfig;
struct ModelConfig;

// Another model reads question and answer and says whether it will do.
struct JudgeConfig {
  std::string model;   // an alias with targets
  std::string prompt;  // {question}, {conversation} and {answer} are put in
  std::string accept;  // a regular expression that a good verdict matches
  int64_t max_tokens = 256;
  int64_t timeout_ms = 30'000;
};

// A program of the operator's says so, over HTTP.
struct HttpCheckConfig {
  std::string url;  // as written
  http::Url to;
  int64_t timeout_ms = 2'000;
};

// All that are there have to hold.
struct AnswerCheckConfig {
  std::string regex;                   // that the text matches; "": none
  std::optional<text::Json> schema;    // that the text, as JSON, is valid by
  std::optional<double> mean_logprob;  // of the answer's tokens, at least (nats)
  std::optional<double> least_logprob;
  std::optional<HttpCheckConfig> http;
  std::optional<JudgeConfig> judge;

  bool wants_logprobs() const { return mean_logprob.has_value() || least_logprob.has_value(); }
  bool empty() const {
    return regex.empty() && !schema.has_value() && !wants_logprobs() && !http.has_value() &&
           !judge.has_value();
  }
};

struct CascadeStepConfig {
  std::string model;        // an alias with targets
  AnswerCheckConfig check;  // of the last step: none
  int line = 0;
};

// Models are asked in turn until one's answer passes.
struct CascadeConfig {
  static constexpr size_t kMaxSteps = 8;
  std::vector<CascadeStepConfig> steps;
  std::optional<int64_t> max_cost_nanos;  // of a request, its next step included; none: no bound
  int64_t keep_alive_ms = 15'000;         // between comments to a client that waits for a stream
  int64_t max_latency_ms = 0;             // no step begins or goes on later; 0: no bound
};

// The small model where it will probably do, else the large one.
struct DifficultyConfig {
  std::string model_file;
  DifficultyModel model;
  double threshold = 0.5;    // probability that the small one suffices, at least
  std::string small, large;  // aliases
};

// Copies of requests for another model, whose answers nobody sees.
struct ShadowConfig {
  std::string model;           // an alias with targets, at upstreams of its own
  double sample = 0.01;        // share of the requests
  int32_t max_in_flight = 16;  // beyond: dropped and counted
};

// Whether the model is answered by targets of its own, rather than by other models.
bool has_targets(const config::Node& model);
// Rules, cascades, routers and shadows, once upstreams, models and prices are read. What is wrong
// with them is noted by the reader.
void read_routing(const ConfigReader& reader, const config::Node& file, GatewayConfig& config);

// Those under rules and models.X.rules. Targets are aliases that there are. The same.
void read_rules(const ConfigReader& reader, const config::Node& file, GatewayConfig& config);
// The model of that name, or the error at the line: what names it, and the nearest. One that is
// broken is an error as well, but none that is noted: it is by what broke it.
Result<const ModelConfig*> known_model(const ConfigReader& reader, const GatewayConfig& config,
                                       const std::string& name, std::string_view what, int line);

// "regex, judge"; "": none.
std::string describe_check(const AnswerCheckConfig& check);
// For people, of one model and of the rules: lines with two blanks in front.
std::string describe_routing(const ModelConfig& model);
std::string describe_rules(const GatewayConfig& config);

}  // namespace weir::gateway
