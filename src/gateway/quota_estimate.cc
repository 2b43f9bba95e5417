#include "gateway/quota_estimate.h"

#include <algorithm>

namespace weir::gateway {

int64_t dearest_cost(const GatewayConfig& config, const ModelConfig& model, int64_t input_tokens,
                     int64_t output_tokens) {
  int64_t most = 0;
  for (const TargetConfig& t : model.targets) {
    const ModelPrice* price = config.prices.find(config.upstreams[t.upstream].name,
                                                 t.model.empty() ? model.name : t.model);
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

QuotaEstimate estimate_quota(const GatewayConfig& config, const ModelConfig& model,
                             const Incoming& incoming, const std::vector<QuotaLimit>& limits) {
  QuotaEstimate out;
  out.bounded = incoming.max_output_tokens > 0 || !incoming.generates;
  int64_t output = incoming.max_output_tokens * incoming.choices;
  if (!out.bounded) {
    output = config.quotas.estimate.output_tokens * incoming.choices;
    for (const QuotaLimit& l : limits) {
      if (l.metric == QuotaMetric::kOutputTokens) output = std::min(output, l.limit);
      if (l.metric == QuotaMetric::kTotalTokens)
        output = std::min(output, l.limit - incoming.input_tokens);
    }
    output = std::max<int64_t>(output, 1);
  }
  out.amounts.input_tokens = incoming.input_tokens;
  out.amounts.output_tokens = output;
  out.amounts.money_nanos = dearest_cost(config, model, incoming.input_tokens, output);
  return out;
}

}  // namespace weir::gateway
