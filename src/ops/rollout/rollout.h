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
  bool done = false;   // all traffic is the release's; false: taken back
  std::string stable;  // the release that had the traffic before
  std::string why;
};

// wait: sleeps so many seconds; false: the user wants it to end, and it is taken back. tell: called
// after each interval. Errors: kUsage when the gateway does not know the release, or no other one
// has traffic; kIo when weights cannot be set or the traffic cannot be given back to `stable` (said
// in the message: someone must look).
Result<RolloutResult> run_rollout(GatewayAdmin& gateway, const RolloutRules& rules,
                                  const std::string& release,
                                  const std::function<bool(double)>& wait,
                                  const std::function<void(const RolloutEvent&)>& tell);

}  // namespace weir::ops
