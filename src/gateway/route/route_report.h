// What a router by difficulty buys, for people and programs: `weir route eval`. Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "gateway/route/quality_curve.h"
#include "text/json.h"

namespace weir::gateway {

struct RouteReport {
  size_t items = 0;
  QualityCurve curve;
  QualityCurve best;                 // of a router that knows the outcome
  std::optional<CurvePoint> chosen;  // at the threshold that was asked for
  double threshold = 0;              // that
};

// Errors: those of quality_curve.
Result<RouteReport> make_route_report(std::span<const RoutedItem> items,
                                      std::optional<double> threshold);

std::string route_report_text(const RouteReport& report);
text::Json route_report_json(const RouteReport& report);
// One page: the curve beside that of chance and of the best there could be, and the table.
std::string route_report_html(const RouteReport& report);

}  // namespace weir::gateway
