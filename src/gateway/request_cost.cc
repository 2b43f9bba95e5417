#include "gateway/request_cost.h"

#include <algorithm>

#include "gateway/incoming.h"

namespace weir::gateway {

int64_t dearest_cost(const GatewayConfig& config, const ModelConfig& model, int64_t input_tokens,
                     int64_t output_tokens) {
  int64_t most = 0;
  for (const TargetConfig& t : model.targets) {
    const ModelPrice* price =
        config.prices.find(t.upstream_name, t.model.empty() ? model.name : t.model);
    if (price == nullptr) continue;
    for (const int64_t written : {int64_t{0}, input_tokens}) {
      const TokenCounts counts{.input = input_tokens,
                               .cached_input = 0,
                               .cache_write = written,
                               .output = output_tokens};
      most = std::max(most, token_cost(*price, counts));
    }
  }
  return most;
}

std::vector<ModelAsked> asked_by(const GatewayConfig& config, const CascadeStepConfig& step,
                                 int64_t input_tokens, int64_t output_tokens) {
  const auto named = [&config](const std::string& name) {
    return &*std::find_if(config.models.begin(), config.models.end(),
                          [&](const ModelConfig& m) { return m.name == name; });
  };
  std::vector<ModelAsked> out{{named(step.model), input_tokens, output_tokens}};
  if (!step.check.judge.has_value()) return out;
  const JudgeConfig& judge = *step.check.judge;
  out.push_back({named(judge.model),
                 input_tokens + output_tokens + tokens_of_bytes(judge.prompt.size()),
                 judge.max_tokens});
  return out;
}

std::vector<ModelAsked> asked_by(const GatewayConfig& config, const ModelConfig& model,
                                 int64_t input_tokens, int64_t output_tokens) {
  if (!model.cascade.has_value()) return {{&model, input_tokens, output_tokens}};
  std::vector<ModelAsked> out;
  for (const CascadeStepConfig& step : model.cascade->steps)
    for (const ModelAsked& a : asked_by(config, step, input_tokens, output_tokens))
      out.push_back(a);
  return out;
}

int64_t dearest_cost(const GatewayConfig& config, const std::vector<ModelAsked>& asked) {
  int64_t sum = 0;
  for (const ModelAsked& a : asked)
    sum += dearest_cost(config, *a.model, a.input_tokens, a.output_tokens);
  return sum;
}

}  // namespace weir::gateway
