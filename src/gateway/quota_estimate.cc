#include "gateway/quota_estimate.h"

#include <algorithm>

#include "gateway/request_cost.h"

namespace weir::gateway {

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
  for (const ModelAsked& a : asked_by(config, model, 0, 0)) {
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
  const std::vector<ModelAsked> asked = asked_by(config, model, incoming.input_tokens, output);
  for (const ModelAsked& a : asked) {
    out.amounts.input_tokens += a.input_tokens;
    out.amounts.output_tokens += a.output_tokens;
  }
  out.amounts.money_nanos = dearest_cost(config, asked);
  return out;
}

}  // namespace weir::gateway
