#include "bench/report/html_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report/format.h"
#include "plot/svg_plot.h"

namespace weir::bench {
namespace {

// A quantile curve of a histogram: points at the upper bounds of its buckets.
std::vector<std::pair<double, double>> cdf_points(const Distribution& d) {
  std::vector<std::pair<double, double>> out;
  if (d.count == 0) return out;
  const Histogram& h = d.histogram;
  int64_t seen = 0;
  out.emplace_back(std::max(h.min(), Histogram::kLowest), 0);
  for (const Histogram::Bucket& b : h.buckets()) {
    seen += b.count;
    const double at = std::min(h.bounds(b.index).second, h.max());
    out.emplace_back(std::max(at, Histogram::kLowest),
                     100 * static_cast<double>(seen) / static_cast<double>(d.count));
  }
  return out;
}

}  // namespace

std::string html_estimate(const Estimate& e) {
  const std::string interval = e.low < e.high || std::isnan(e.high) ? interval_text(e) : "";
  if (interval.empty()) return number_text(e.value);
  return fmt::format("{}<small>{}</small>", number_text(e.value), interval);
}

std::string cdf_svg(std::string_view title, std::string_view x_label,
                    const std::vector<Curve>& curves, double bound, double width) {
  plot::Plot p;
  p.title = title;
  p.width = width;
  p.height = 250;
  p.x.label = x_label;
  p.x.log = true;
  p.y.label = "share at or below (%)";
  p.y.max = 100;
  // The lowest thousandth would take half of a logarithmic axis.
  double low = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < curves.size(); ++i) {
    const Distribution& d = *curves[i].values;
    if (d.count == 0) continue;
    low = std::min(low, std::max(d.histogram.quantile(0.01) * 0.7, Histogram::kLowest));
    plot::Series s;
    s.name = curves.size() > 1 ? curves[i].name : "";
    s.colour = i % plot::kSeriesColours;
    s.points = cdf_points(d);
    p.series.push_back(std::move(s));
  }
  if (p.series.empty()) return "";
  p.x.min = low;
  for (plot::Series& s : p.series) {
    // What lies left of the axis would pile up on it.
    std::erase_if(s.points, [&](const auto& point) { return point.first < low; });
  }
  if (curves.size() == 1) {
    p.marks.push_back({.x = curves[0].values->p50().value, .y = {}, .text = "p50"});
    p.marks.push_back({.x = curves[0].values->p99().value, .y = {}, .text = "p99"});
  }
  if (bound > 0) p.marks.push_back({.x = bound, .y = {}, .text = "SLO"});
  return plot::plot_svg(p);
}

}  // namespace weir::bench
