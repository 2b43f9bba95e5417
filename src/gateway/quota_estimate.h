// How much of a request's quotas is taken before it is answered, and how much more while it
// streams. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/config.h"
#include "gateway/incoming.h"
#include "gateway/state/quota.h"

namespace weir::gateway {

struct QuotaEstimate {
  QuotaAmounts amounts;
  // The request says how long its answer may become: it will not be longer.
  bool bounded = false;
};

// Output is max_tokens for each of the choices asked for; where none is said
// quota_estimate.output_tokens, and not more than all that the tightest of the limits would let a
// single request take. Input is the prompt's estimate. One that only counts is a request and no
// more.
QuotaEstimate estimate_quota(const GatewayConfig& config, const ModelConfig& model,
                             const Incoming& incoming, const std::vector<QuotaLimit>& limits);

}  // namespace weir::gateway
