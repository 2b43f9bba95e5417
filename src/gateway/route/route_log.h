// The log of an evaluation that two models answered, which routers by difficulty are trained on and
// held against: JSON lines,
//
//   {"prompt": "What is 2+2?", "small_score": 1, "large_score": 1, "small_cost": 0.0001,
//    "large_cost": 0.002}
//
// with "messages" as in a request in place of "prompt" where there is a conversation. Scores are
// from 0 to 1; costs are of the whole answer, in any one unit, at least 0, and may be left out of a
// log that only trains. Other members are ignored. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/route/difficulty.h"
#include "gateway/route/quality_curve.h"

namespace weir::gateway {

struct RouteLog {
  static constexpr size_t kMaxBytes = size_t{1} << 30;
  static constexpr size_t kMaxLines = 1'000'000;

  std::vector<DifficultyFeatures> features;
  std::vector<RoutedItem> items;  // without the router's opinion
  bool with_costs = true;         // each line has both
};

// Errors: kCorrupt "NAME:LINE: small_score must be a number from 0 to 1", and so for every other
// fault; kCorrupt for a log without lines; kLimit.
Result<RouteLog> parse_route_log(std::string_view text, std::string_view name);

// Whether the small model's answer is good enough: no more than `tolerance` below the large one's.
std::vector<DifficultyExample> difficulty_examples(const RouteLog& log, double tolerance);

// The items with the model's opinion of each.
std::vector<RoutedItem> routed_by(const DifficultyModel& model, const RouteLog& log);

// The items with the opinion of models that were trained without them: every `folds`-th one is held
// out in turn. Errors: those of train_difficulty, for one of the parts.
Result<std::vector<RoutedItem>> routed_held_out(const RouteLog& log, double tolerance,
                                                const DifficultyTraining& training, size_t folds);

}  // namespace weir::gateway
