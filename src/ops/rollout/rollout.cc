#include "ops/rollout/rollout.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace weir::ops {
namespace {

constexpr int kTakeBackTries = 5;

Status take_back(GatewayAdmin& gateway, const RolloutWeights& before,
                 const std::function<bool(double)>& wait) {
  Status status;
  for (int i = 0; i < kTakeBackTries; ++i) {
    status = gateway.set_weights(before);
    if (status.ok()) return status;
    wait(1);
  }
  return make_error(ErrorCode::kIo, "the weights could not be restored: {}; set them by hand: {}",
                    status.error().message, weights_text(before));
}

// Of releases that one of them does not name: 0.
bool same_shares(const RolloutWeights& a, const RolloutWeights& b) {
  const auto within = [](const RolloutWeights& some, const RolloutWeights& others) {
    return std::all_of(some.begin(), some.end(), [&](const auto& entry) {
      const auto it = others.find(entry.first);
      return entry.second == (it == others.end() ? 0 : it->second);
    });
  };
  return within(a, b) && within(b, a);
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

RolloutWeights shifted(const RolloutWeights& before, const std::string& release, int per_cent) {
  const int left = 100 - per_cent;
  int others = 0;
  for (const auto& [name, weight] : before) others += name == release ? 0 : weight;
  RolloutWeights out;
  std::vector<std::pair<int, std::string>> remainders;  // times `others`
  int given = 0;
  for (const auto& [name, weight] : before) {
    if (name == release) continue;
    out[name] = weight * left / others;
    given += out[name];
    remainders.emplace_back(weight * left % others, name);
  }
  std::stable_sort(remainders.begin(), remainders.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (int i = 0; i < left - given; ++i) ++out[remainders[static_cast<size_t>(i)].second];
  out[release] = per_cent;
  return out;
}

std::string weights_text(const RolloutWeights& weights) {
  std::string out;
  for (const auto& [name, weight] : weights)
    out += fmt::format("{}{} {} %", out.empty() ? "" : ", ", name, weight);
  return out;
}

Result<RolloutResult> run_rollout(GatewayAdmin& gateway, const RolloutRules& rules,
                                  const std::string& release,
                                  const std::function<bool(double)>& wait,
                                  const std::function<void(const RolloutEvent&)>& tell) {
  WEIR_ASSIGN(const GatewayState before, gateway.state(rules.interval_s));
  RolloutResult out;
  WEIR_ASSIGN(out.stable, stable_of(before, release));
  out.before = before.weights;
  out.before.try_emplace(release, 0);
  const auto end = [&](std::string why) -> Result<RolloutResult> {
    WEIR_TRY(take_back(gateway, out.before, wait));
    out.why = std::move(why);
    return out;
  };
  for (size_t step = 0; step < rules.steps.size(); ++step) {
    const RolloutWeights wanted = shifted(out.before, release, rules.steps[step]);
    const Status set = gateway.set_weights(wanted);
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
      if (state.ok() && !same_shares(state->weights, wanted)) {
        event.decision = {RolloutMove::kAbort,
                          fmt::format("the gateway's weights are {}, and {} were set: it does not "
                                      "apply them, or another changes them",
                                      weights_text(state->weights), weights_text(wanted))};
      }
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
