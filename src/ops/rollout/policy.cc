#include "ops/rollout/policy.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace weir::ops {

Result<std::vector<int>> parse_steps(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return make_error(
        ErrorCode::kUsage,
        "--steps {}: {}; give ascending per cents that end with 100, as 1,5,25,50,100", text, why);
  };
  std::vector<int> out;
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    int value = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || stop != part.data() + part.size() || value < 1 || value > 100)
      return wrong(fmt::format("\"{}\" is no per cent from 1 to 100", part));
    if (!out.empty() && value <= out.back()) return wrong("they do not ascend");
    out.push_back(value);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (out.back() != 100) return wrong("the last one is not 100");
  return out;
}

Result<double> parse_interval(std::string_view text) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(stop, static_cast<size_t>(text.data() + text.size() - stop));
  const double factor = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (error != std::errc() || factor == 0 || !(value > 0) || value * factor > 86'400) {
    return make_error(ErrorCode::kUsage,
                      "--interval must be a time up to a day, as 60s, 5m or 1h, not \"{}\"", text);
  }
  return value * factor;
}

std::string_view move_name(RolloutMove move) {
  switch (move) {
    case RolloutMove::kNext:
      return "next";
    case RolloutMove::kHold:
      return "hold";
    case RolloutMove::kDone:
      return "done";
    case RolloutMove::kAbort:
      break;
  }
  return "abort";
}

RolloutDecision decide_rollout(const RolloutRules& rules, size_t step, int holds,
                               const std::optional<BurnReading>& reading) {
  const auto wait = [&](std::string why) -> RolloutDecision {
    if (holds < rules.most_holds) return {RolloutMove::kHold, std::move(why)};
    return {RolloutMove::kAbort, fmt::format("{}, for {} intervals", why, holds + 1)};
  };
  if (!reading) return wait("the gateway does not say how it fares");
  const double burn = reading->burn_rate.value_or(0);
  if (reading->burn_rate && (!std::isfinite(burn) || burn > rules.most_burn)) {
    if (reading->requests >= rules.least_requests)
      return {RolloutMove::kAbort, fmt::format("burn rate {:.3g} is over {:.3g} ({} requests)",
                                               burn, rules.most_burn, reading->requests)};
    return wait(fmt::format("burn rate {:.3g} of only {} requests", burn, reading->requests));
  }
  if (!reading->burn_rate || reading->requests < rules.least_requests)
    return wait(
        fmt::format("{} requests are fewer than {} (shares are dealt by user or session, \"user\" "
                    "or x-session-id, else by the key's tenant: one client alone stays in one arm)",
                    reading->requests, rules.least_requests));
  const std::string why = fmt::format("burn rate {:.3g} of {} requests", burn, reading->requests);
  if (step + 1 < rules.steps.size()) return {RolloutMove::kNext, why};
  return {RolloutMove::kDone, why};
}

}  // namespace weir::ops
