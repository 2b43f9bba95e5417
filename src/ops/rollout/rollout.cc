#include "ops/rollout/rollout.h"

#include <fmt/format.h>

namespace weir::ops {
namespace {

constexpr int kTakeBackTries = 5;

RolloutWeights weights_of(const std::string& release, int per_cent, const std::string& stable) {
  RolloutWeights out;
  out[release] = per_cent;
  out[stable] = 100 - per_cent;
  return out;
}

Status take_back(GatewayAdmin& gateway, const std::string& release, const std::string& stable,
                 const std::function<bool(double)>& wait) {
  Status status;
  for (int i = 0; i < kTakeBackTries; ++i) {
    status = gateway.set_weights(weights_of(release, 0, stable));
    if (status.ok()) return status;
    wait(1);
  }
  return make_error(ErrorCode::kIo,
                    "the traffic could not be given back to {}: {}; set its weight to 100 by hand",
                    stable, status.error().message);
}

Result<std::string> stable_of(const GatewayState& state, const std::string& release) {
  if (state.weights.find(release) == state.weights.end() &&
      state.releases.find(release) == state.releases.end()) {
    return make_error(ErrorCode::kUsage, "the gateway knows no release {}", release);
  }
  std::string stable;
  int most = 0;
  for (const auto& [name, weight] : state.weights) {
    if (name == release || weight <= most) continue;
    stable = name;
    most = weight;
  }
  if (stable.empty())
    return make_error(ErrorCode::kUsage, "{} has all the traffic already", release);
  return stable;
}

}  // namespace

Result<RolloutResult> run_rollout(GatewayAdmin& gateway, const RolloutRules& rules,
                                  const std::string& release,
                                  const std::function<bool(double)>& wait,
                                  const std::function<void(const RolloutEvent&)>& tell) {
  WEIR_ASSIGN(const GatewayState before, gateway.state(rules.interval_s));
  RolloutResult out;
  WEIR_ASSIGN(out.stable, stable_of(before, release));
  const auto end = [&](std::string why) -> Result<RolloutResult> {
    WEIR_TRY(take_back(gateway, release, out.stable, wait));
    out.why = std::move(why);
    return out;
  };
  for (size_t step = 0; step < rules.steps.size(); ++step) {
    const Status set = gateway.set_weights(weights_of(release, rules.steps[step], out.stable));
    if (!set.ok()) return end(set.error().message);
    for (int holds = 0;; ++holds) {
      if (!wait(rules.interval_s)) return end("interrupted");
      RolloutEvent event;
      event.per_cent = rules.steps[step];
      const auto state = gateway.state(rules.interval_s);
      if (state.ok()) {
        const auto it = state->releases.find(release);
        event.reading = it == state->releases.end() ? BurnReading() : it->second;
      }
      event.decision = decide_rollout(rules, step, holds, event.reading);
      tell(event);
      if (event.decision.move == RolloutMove::kAbort) return end(event.decision.why);
      if (event.decision.move == RolloutMove::kDone) {
        out.done = true;
        out.why = event.decision.why;
        return out;
      }
      if (event.decision.move == RolloutMove::kNext) break;
    }
  }
  return out;
}

}  // namespace weir::ops
