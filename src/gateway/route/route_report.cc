#include "gateway/route/route_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "plot/page.h"
#include "plot/svg_plot.h"
#include "plot/text.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr double kShares[] = {0.99, 0.95, 0.9};  // of always large's quality

// The items with the opinion of a router that knows what each would gain for the money saved.
std::vector<RoutedItem> known(std::span<const RoutedItem> items) {
  std::vector<RoutedItem> out(items.begin(), items.end());
  const auto gain = [&](size_t i) {
    const double saved = std::max(out[i].large_cost - out[i].small_cost, 1e-12);
    return (out[i].small_quality - out[i].large_quality) / saved;
  };
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return gain(a) < gain(b); });
  for (size_t k = 0; k < order.size(); ++k)
    out[order[k]].small_suffices = static_cast<double>(k) / static_cast<double>(order.size());
  return out;
}

struct Row {
  std::string name;
  CurvePoint point;
};

std::vector<Row> rows_of(const RouteReport& r) {
  std::vector<Row> rows = {{"always large", r.curve.points.front()}};
  for (const double share : kShares)
    rows.push_back(
        {fmt::format("{:g} % of its quality", 100 * share), cheapest_with(r.curve, share)});
  if (r.chosen.has_value()) rows.push_back({fmt::format("threshold {:g}", r.threshold), *r.chosen});
  rows.push_back({"always small", r.curve.points.back()});
  return rows;
}

std::vector<std::vector<std::string>> table(const RouteReport& r) {
  std::vector<std::vector<std::string>> out = {
      {"", "threshold", "to the small model", "quality", "cost", "of always large"}};
  const double large = r.curve.points.front().cost;
  for (const Row& row : rows_of(r)) {
    const CurvePoint& p = row.point;
    const bool none = p.small_share == 0;
    out.push_back({row.name, none ? "–" : fmt::format("{:.3f}", p.threshold),
                   plot::percent_text(p.small_share), fmt::format("{:.4f}", p.quality),
                   fmt::format("{:.3g}", p.cost), plot::percent_text(p.cost / large)});
  }
  return out;
}

std::string areas(const RouteReport& r) {
  return fmt::format(
      "area under quality over cost: router {:.4f}, at random {:.4f}, always large {:.4f}, best "
      "there could be {:.4f}",
      r.curve.area, r.curve.random_area, r.curve.large_area, r.curve.best_area);
}

std::string plot_of(const RouteReport& r) {
  plot::Plot drawn;
  drawn.title = "Quality against cost";
  drawn.width = 860;
  drawn.height = 420;
  drawn.x = {.label = "mean cost of a request", .log = false, .min = {}, .max = {}};
  // Quality from where the worst of the lines begins: its differences are what is looked for.
  const double worst = std::min(r.curve.points.back().quality, r.curve.points.front().quality);
  drawn.y = {.label = "mean quality", .log = false, .min = std::floor(10 * worst) / 10, .max = {}};
  const auto line = [&](const std::string& name, const std::vector<CurvePoint>& points,
                        size_t colour, bool dashed) {
    plot::Series s{.name = name, .points = {}, .colour = colour, .dashed = dashed};
    for (const CurvePoint& p : points) s.points.emplace_back(p.cost, p.quality);
    drawn.series.push_back(std::move(s));
  };
  line("router", r.curve.points, 0, false);
  line("knows the outcome", r.best.points, 1, true);
  line("at random", {r.curve.points.front(), r.curve.points.back()}, 2, true);
  const auto mark = [&](const CurvePoint& p, const std::string& text) {
    drawn.marks.push_back({.x = p.cost, .y = p.quality, .text = text});
  };
  mark(r.curve.points.front(), "always large");
  mark(r.curve.points.back(), "always small");
  if (r.chosen.has_value()) mark(*r.chosen, fmt::format("threshold {:g}", r.threshold));
  return plot::plot_svg(drawn);
}

}  // namespace

Result<RouteReport> make_route_report(std::span<const RoutedItem> items,
                                      std::optional<double> threshold) {
  RouteReport r;
  r.items = items.size();
  WEIR_ASSIGN(r.curve, quality_curve(items));
  WEIR_ASSIGN(r.best, quality_curve(known(items)));
  if (!threshold.has_value()) return r;
  r.threshold = *threshold;
  for (const CurvePoint& p : r.curve.points)
    if (p.threshold >= *threshold) r.chosen = p;  // thresholds descend
  return r;
}

std::string route_report_text(const RouteReport& r) {
  std::string out = fmt::format("{} prompts\n", plot::count_text(static_cast<int64_t>(r.items)));
  for (const auto& row : table(r))
    out += fmt::format("{:<22}{:>10}{:>20}{:>9}{:>12}{:>17}\n", row[0], row[1], row[2], row[3],
                       row[4], row[5]);
  return out + areas(r) + "\n";
}

Json route_report_json(const RouteReport& r) {
  const auto point = [](const CurvePoint& p) {
    Json j = Json::object();
    j.set("threshold", p.threshold);
    j.set("small_share", p.small_share);
    j.set("quality", p.quality);
    j.set("cost", p.cost);
    return j;
  };
  Json out = Json::object();
  out.set("items", static_cast<int64_t>(r.items));
  out.set("area", r.curve.area);
  out.set("random_area", r.curve.random_area);
  out.set("large_area", r.curve.large_area);
  out.set("best_area", r.curve.best_area);
  out.set("always_large", point(r.curve.points.front()));
  out.set("always_small", point(r.curve.points.back()));
  if (r.chosen.has_value()) out.set("chosen", point(*r.chosen));
  Json& cheapest = out.set("cheapest", Json::array());
  for (const double share : kShares) {
    Json j = point(cheapest_with(r.curve, share));
    j.set("quality_share", share);
    cheapest.push_back(std::move(j));
  }
  Json& points = out.set("curve", Json::array());
  for (const CurvePoint& p : r.curve.points) points.push_back(point(p));
  return out;
}

std::string route_report_html(const RouteReport& r) {
  std::string body = "<h1>What the router buys</h1>\n<div class=\"tiles\">";
  const double gained = r.curve.area - r.curve.random_area;
  const double most = r.curve.best_area - r.curve.random_area;
  body += plot::html_tile("Area", fmt::format("{:.4f}", r.curve.area), "under quality over cost");
  body += plot::html_tile("At random", fmt::format("{:.4f}", r.curve.random_area),
                          most > 0 ? fmt::format("{} of what could be gained over it",
                                                 plot::percent_text(gained / most))
                                   : "nothing could be gained over it");
  body += plot::html_tile("Always large", fmt::format("{:.4f}", r.curve.large_area),
                          "its quality at every cost");
  body += plot::html_tile("Prompts", plot::count_text(static_cast<int64_t>(r.items)), "in the log");
  body += "</div>\n" + plot_of(r);
  auto rows = table(r);
  for (auto& row : rows)
    for (std::string& cell : row) cell = plot::escaped(cell);
  return plot::html_page("Router by difficulty", body + plot::html_table(rows));
}

}  // namespace weir::gateway
