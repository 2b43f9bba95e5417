// A rollout step by step: weights, wait, judge, go on or take back.
#pragma once

#include <functional>
#include <string>

#include "ops/rollout/gateway_admin.h"
#include "ops/rollout/policy.h"

namespace weir::ops {

struct RolloutEvent {
  int per_cent = 0;  // of the release, while it was judged
  RolloutDecision decision;
  std::optional<BurnReading> reading;
};

struct RolloutResult {
  bool done = false;      // all traffic is the release's; false: taken back
  std::string stable;     // of the other releases the one that had most of the traffic
  RolloutWeights before;  // what is restored when it is taken back
  std::string why;
};

// `before` with the release at so many per cent, and the others as they were to each other; whole
// per cents, the largest remainders are rounded up. Precondition: another one has traffic.
RolloutWeights shifted(const RolloutWeights& before, const std::string& release, int per_cent);

// "old 95 %, new 5 %"
std::string weights_text(const RolloutWeights& weights);

// The weights of all other releases are scaled by what the release takes; taking it back restores
// the weights that there were. wait: sleeps so many seconds; false: the user wants it to end, and
// it is taken back. tell: called after each interval. Errors: kUsage when the gateway does not know
// the release, or no other one has traffic; kIo when weights cannot be set or the former ones
// cannot be restored (said in the message: someone must look).
Result<RolloutResult> run_rollout(GatewayAdmin& gateway, const RolloutRules& rules,
                                  const std::string& release,
                                  const std::function<bool(double)>& wait,
                                  const std::function<void(const RolloutEvent&)>& tell);

}  // namespace weir::ops
