#include "bench/report/svg_bars.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "plot/svg_parts.h"
#include "plot/svg_plot.h"

namespace weir::bench {
namespace {

plot::Scale bar_scale(const BarPlot& plot) {
  double high = 0;
  for (const auto& run : plot.values) {
    for (const Estimate& e : run) {
      if (e.known()) high = std::max({high, e.value, std::isnan(e.high) ? 0 : e.high});
    }
  }
  return {.low = 0,
          .high = high > 0 ? high * 1.08 : 1,
          .from = plot.height - plot::kBottom,
          .to = plot::kTop};
}

// The bars of one cluster around `middle`.
std::string cluster_of(const BarPlot& plot, size_t cluster, double middle, double bar,
                       const plot::Scale& y) {
  std::string out;
  const double first = middle - bar * static_cast<double>(plot.values.size()) / 2;
  for (size_t r = 0; r < plot.values.size(); ++r) {
    const double left = first + bar * static_cast<double>(r);
    if (cluster >= plot.values[r].size() || !plot.values[r][cluster].known()) continue;
    const Estimate& e = plot.values[r][cluster];
    out += plot::rect_at(left + bar * 0.06, y.at(e.value), bar * 0.88, y.from - y.at(e.value),
                         fmt::format("f{}", r % plot::kSeriesColours));
    if (!std::isnan(e.low) && !std::isnan(e.high))
      out += plot::line_at(left + bar / 2, y.at(e.low), left + bar / 2, y.at(e.high), "whisker");
  }
  return out;
}

}  // namespace

std::string bars_svg(const BarPlot& plot) {
  const plot::Scale y = bar_scale(plot);
  const plot::Scale x{.from = plot::kLeft, .to = plot.width - plot::kRight};
  std::string out = plot::open_svg(plot.width, plot.height, plot.title);
  std::vector<std::pair<std::string, std::string>> entries;
  for (size_t r = 0; r < plot.runs.size(); ++r)
    entries.emplace_back(plot.runs[r], fmt::format("f{}", r % plot::kSeriesColours));
  out += plot::legend(entries, x.to) + plot::y_axis(x, y, plot.y_label);
  const double cluster =
      (x.to - x.from) / static_cast<double>(std::max<size_t>(plot.clusters.size(), 1));
  const double bar =
      std::min(40.0, cluster * 0.8 / static_cast<double>(std::max<size_t>(plot.values.size(), 1)));
  // Names that would run into each other are thinned.
  size_t longest = 1;
  for (const std::string& name : plot.clusters) longest = std::max(longest, name.size());
  const auto every = static_cast<size_t>(
      std::max(1.0, std::ceil(plot::kCharacterPx * static_cast<double>(longest + 1) / cluster)));
  for (size_t c = 0; c < plot.clusters.size(); ++c) {
    const double middle = x.from + cluster * (static_cast<double>(c) + 0.5);
    if (c % every == 0)
      out += plot::text_at(middle, y.from + 17, "tick", "middle", plot.clusters[c]);
    out += cluster_of(plot, c, middle, bar, y);
  }
  return out + plot::line_at(x.from, y.from, x.to, y.from, "axis") + "</svg>";
}

std::string waterfall_svg(const std::vector<SampleRequest>& requests, double width) {
  constexpr double kRow = 9;
  double low = std::numeric_limits<double>::infinity();
  double high = 0;
  for (const SampleRequest& r : requests) {
    low = std::min(low, r.intended_s);
    high = std::max(high, r.end_s);
  }
  if (requests.empty() || !(high > low)) return "";
  const double height = plot::kTop + plot::kBottom + kRow * static_cast<double>(requests.size());
  const double floor = height - plot::kBottom;
  const plot::Scale x{.low = low, .high = high, .from = plot::kLeft, .to = width - plot::kRight};
  std::string out = plot::open_svg(width, height, "Requests from the middle of the run");
  out += plot::legend({{"send lag", "f5"},
                       {"queue", "f1"},
                       {"to first output", "f0 light"},
                       {"output", "f0"},
                       {"refused or failed", "f4"}},
                      x.to);
  out += plot::x_axis(x, floor, "time in the run (s)", plot::kTop);
  double y = plot::kTop + 1;
  const auto bar = [&](double from, double to, std::string_view css) {
    if (to > from)
      out += plot::rect_at(x.at(from), y, std::max(1.0, x.at(to) - x.at(from)), kRow - 2, css);
  };
  for (const SampleRequest& r : requests) {
    const double first = r.first_token_s < 0 ? r.end_s : r.first_token_s;
    const double queued = r.queue_ms > 0 ? std::min(r.sent_s + r.queue_ms * 1e-3, first) : r.sent_s;
    bar(r.intended_s, r.sent_s, "f5");
    if (r.outcome == Outcome::kOk) {
      bar(r.sent_s, queued, "f1");
      bar(queued, first, "f0 light");
      bar(first, r.end_s, "f0");
    } else {
      bar(r.sent_s, std::max(r.end_s, r.sent_s + 1e-9), "f4");
    }
    y += kRow;
  }
  return out + "</svg>";
}

}  // namespace weir::bench
