#include "gateway/quota_estimate.h"

#include <algorithm>

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

std::vector<QuotaAsked> asked_by(const GatewayConfig& config, const ModelConfig& model,
                                 int64_t input_tokens, int64_t output_tokens) {
  if (!model.cascade.has_value()) return {{&model, input_tokens, output_tokens}};
  constexpr int64_t kBytesPerToken = 4;
  const auto named = [&config](const std::string& name) {
    return &*std::find_if(config.models.begin(), config.models.end(),
                          [&](const ModelConfig& m) { return m.name == name; });
  };
  std::vector<QuotaAsked> out;
  for (const CascadeStepConfig& step : model.cascade->steps) {
    out.push_back({named(step.model), input_tokens, output_tokens});
    if (!step.check.judge.has_value()) continue;
    const JudgeConfig& judge = *step.check.judge;
    const auto pattern = static_cast<int64_t>(judge.prompt.size()) / kBytesPerToken;
    out.push_back({named(judge.model), input_tokens + output_tokens + pattern, judge.max_tokens});
  }
  return out;
}

namespace {

// How the tokens of a request for a model depend on those of its prompt and of its answer: steps
// read the one and write the other, judges read both.
struct Shape {
  int64_t steps = 0;
  int64_t judges = 0;
  int64_t verdict_tokens = 0;  // what judges write
  int64_t prompt_tokens = 0;   // what they are told beside it
};

Shape shape_of(const GatewayConfig& config, const ModelConfig& model) {
  Shape out;
  for (const QuotaAsked& a : asked_by(config, model, 0, 0)) {
    const bool judge = a.output_tokens > 0;
    ++(judge ? out.judges : out.steps);
    out.verdict_tokens += a.output_tokens;
    out.prompt_tokens += a.input_tokens;
  }
  return out;
}

}  // namespace

QuotaEstimate estimate_quota(const GatewayConfig& config, const ModelConfig& model,
                             const Incoming& incoming, const std::vector<QuotaLimit>& limits) {
  QuotaEstimate out;
  if (incoming.counts) return {.amounts = {}, .bounded = true};
  out.bounded = incoming.max_output_tokens > 0 || !incoming.generates;
  int64_t output = incoming.max_output_tokens * incoming.choices;
  if (!out.bounded) {
    output = config.quotas.estimate.output_tokens * incoming.choices;
    const Shape shape = shape_of(config, model);
    for (const QuotaLimit& l : limits) {
      if (l.metric == QuotaMetric::kOutputTokens)
        output = std::min(output, (l.limit - shape.verdict_tokens) / shape.steps);
      if (l.metric == QuotaMetric::kTotalTokens)
        output = std::min(output, (l.limit - shape.verdict_tokens - shape.prompt_tokens) /
                                          (shape.steps + shape.judges) -
                                      incoming.input_tokens);
    }
    output = std::max<int64_t>(output, 1);
  }
  for (const QuotaAsked& a : asked_by(config, model, incoming.input_tokens, output)) {
    out.amounts.input_tokens += a.input_tokens;
    out.amounts.output_tokens += a.output_tokens;
    out.amounts.money_nanos += dearest_cost(config, *a.model, a.input_tokens, a.output_tokens);
  }
  return out;
}

}  // namespace weir::gateway
