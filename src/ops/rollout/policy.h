// When a rollout goes on, waits or is taken back: by the burn rate of the new release, the share of
// its requests that miss the SLO over the share that the error budget leaves (1: the budget lasts
// exactly its period). Pure. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct RolloutRules {
  std::vector<int> steps;       // per cent of the traffic, ascending, the last one 100
  double interval_s = 60;       // of a step, and the window that is judged
  double most_burn = 2;         // above: taken back
  int64_t least_requests = 20;  // of the release within the window; fewer say nothing
  int most_holds = 10;          // intervals that a step may wait for them; then it is taken back
};

// "1,5,25,50,100". Errors: kUsage with what is wrong.
Result<std::vector<int>> parse_steps(std::string_view text);
// "60s", "5m", "1h", "0.5s". Errors: kUsage.
Result<double> parse_interval(std::string_view text);

// What the gateway says of the release over the last interval; no value: it could not be asked.
struct BurnReading {
  int64_t requests = 0;
  std::optional<double> burn_rate;  // none: there were no requests
};

enum class RolloutMove : uint8_t { kNext, kHold, kAbort, kDone };
std::string_view move_name(RolloutMove move);  // "next", "hold", "abort", "done"

struct RolloutDecision {
  RolloutMove move = RolloutMove::kHold;
  std::string why;
};

// step: of rules.steps; holds: intervals that this step has been held already.
RolloutDecision decide_rollout(const RolloutRules& rules, size_t step, int holds,
                               const std::optional<BurnReading>& reading);

}  // namespace weir::ops
