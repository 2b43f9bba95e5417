#include "gateway/route/quality_curve.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace weir::gateway {

namespace {

// What goes to the small model first: descending keys; equal ones together.
std::vector<CurvePoint> walk(std::span<const RoutedItem> items, std::span<const double> keys) {
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return keys[a] > keys[b]; });
  const auto n = static_cast<double>(items.size());
  CurvePoint at{.threshold = std::max(1.0, items.empty() ? 1.0 : keys[order[0]] + 1)};
  for (const RoutedItem& item : items) {
    at.cost += item.large_cost / n;
    at.quality += item.large_quality / n;
  }
  std::vector<CurvePoint> out = {at};
  for (size_t k = 0; k < order.size(); ++k) {
    const RoutedItem& item = items[order[k]];
    at.threshold = keys[order[k]];
    at.small_share = static_cast<double>(k + 1) / n;
    at.cost += (item.small_cost - item.large_cost) / n;
    at.quality += (item.small_quality - item.large_quality) / n;
    if (k + 1 == order.size() || keys[order[k + 1]] != at.threshold) out.push_back(at);
  }
  return out;
}

// Of trapezoids, with the cost of always small at 0 and that of always large at 1.
double area_under(std::span<const CurvePoint> points) {
  const double low = points.back().cost;
  const double high = points.front().cost;
  double area = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    const double width = (points[i - 1].cost - points[i].cost) / (high - low);
    area += width * (points[i - 1].quality + points[i].quality) / 2;
  }
  return area;
}

bool is_share(double x) { return x >= 0 && x <= 1; }
bool is_cost(double x) { return x >= 0 && std::isfinite(x); }

}  // namespace

Result<QualityCurve> quality_curve(std::span<const RoutedItem> items) {
  std::vector<double> router;
  std::vector<double> gain;  // quality for each unit of cost that routing it small saves
  for (size_t i = 0; i < items.size(); ++i) {
    const RoutedItem& item = items[i];
    if (!is_share(item.small_suffices) || !is_share(item.small_quality) ||
        !is_share(item.large_quality) || !is_cost(item.small_cost) || !is_cost(item.large_cost)) {
      return make_error(ErrorCode::kInvalidValue,
                        "item {}: probability and qualities are from 0 to 1, costs at least 0", i);
    }
    router.push_back(item.small_suffices);
    const double saved = std::max(item.large_cost - item.small_cost, 1e-12);
    gain.push_back((item.small_quality - item.large_quality) / saved);
  }
  QualityCurve out;
  if (items.empty()) return make_error(ErrorCode::kInvalidValue, "there are no items");
  out.points = walk(items, router);
  const CurvePoint& large = out.points.front();
  const CurvePoint& small = out.points.back();
  if (!(large.cost > small.cost)) {
    return make_error(ErrorCode::kInvalidValue,
                      "the large model costs {} a request and the small one {}: nothing to save",
                      large.cost, small.cost);
  }
  out.area = area_under(out.points);
  out.random_area = (large.quality + small.quality) / 2;
  out.large_area = large.quality;
  out.best_area = area_under(walk(items, gain));
  return out;
}

CurvePoint cheapest_with(const QualityCurve& curve, double share) {
  CurvePoint best = curve.points.front();
  const double least = share * best.quality;
  for (const CurvePoint& p : curve.points) {
    if (p.quality >= least && p.cost < best.cost) best = p;
  }
  return best;
}

}  // namespace weir::gateway
