// What routing by difficulty buys: quality against cost as more and more requests go to the small
// model, easiest first by the router's own opinion, and the area under that curve against routing
// at random, against always the large model, and against a router that knows the outcome.
//
// Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::gateway {

// One request of an evaluation that both models answered.
struct RoutedItem {
  double small_suffices = 0;  // the router's probability; higher goes to the small model first
  double small_quality = 0;   // 0 .. 1, as the two answers were scored
  double large_quality = 0;
  double small_cost = 0;  // of the answers, in any one unit; >= 0
  double large_cost = 0;
};

struct CurvePoint {
  double threshold = 0;    // requests with at least this probability go to the small model
  double small_share = 0;  // of the requests
  double cost = 0;         // mean of a request
  double quality = 0;      // mean of a request
};

struct QualityCurve {
  std::vector<CurvePoint> points;  // from always large to always small; cost descends on the whole
  // Mean quality over budgets evenly from always small to always large, each spent as the curve
  // allows (areas under the quality-cost curve with the cost axis from 0 to 1).
  double area = 0;
  double random_area = 0;  // a straight line between both ends
  double large_area = 0;   // always large: its quality at every budget
  double best_area = 0;    // easiest first by what was really gained for the cost
};

// Errors: kInvalidValue naming the item for a number that is not finite or out of range, when there
// are none, or when the large model does not cost more than the small one.
Result<QualityCurve> quality_curve(std::span<const RoutedItem> items);

// The cheapest point whose quality is at least `share` of always large's; never none, as always
// large is one. Precondition: the curve has points.
CurvePoint cheapest_with(const QualityCurve& curve, double share);

}  // namespace weir::gateway
