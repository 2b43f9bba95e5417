// Plots as inline SVG: lines, steps and areas over linear or logarithmic axes, bars with intervals,
// and the waterfall of requests. Colours are CSS variables (svg_style()), so a page decides on
// light and dark; every text is escaped. Internal to bench/.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/report/summary.h"

namespace weir::bench {

inline constexpr size_t kSeriesColours = 6;

struct Axis {
  std::string label;  // with its unit: "TTFT (ms)"
  bool log = false;   // values <= 0 are left out
  std::optional<double> min, max;
};

struct Series {
  std::string name;                               // "" : not in the legend
  std::vector<std::pair<double, double>> points;  // a NaN breaks the line
  size_t colour = 0;                              // below kSeriesColours
  bool area = false;
  bool dots = false;
  bool dashed = false;
};

// A vertical line (y absent), a horizontal one (x absent), or a ringed point.
struct Mark {
  std::optional<double> x, y;
  std::string text;
};

struct Plot {
  std::string title;
  Axis x, y;
  std::vector<Series> series;
  std::vector<Mark> marks;
  std::vector<std::pair<double, double>> shaded;  // of x: what is outside the steady state
  double width = 720;
  double height = 240;
};

std::string plot_svg(const Plot& plot);

// Bars side by side: one cluster a group, one bar a run, each with its interval.
struct BarPlot {
  std::string title;
  std::string y_label;
  std::vector<std::string> clusters;
  std::vector<std::string> runs;
  std::vector<std::vector<Estimate>> values;  // [run][cluster]; unknown: no bar
  double width = 720;
  double height = 300;
};
std::string bars_svg(const BarPlot& plot);

// One row a request: lag of the generator, wait for the first output, output; failures in red.
std::string waterfall_svg(const std::vector<SampleRequest>& requests, double width = 720);

// The variables and classes that the plots use, for a <style> element.
std::string svg_style();

// Round ticks within [low, high], about `wanted` of them; decades (with 2 and 5 where there is
// room) when log. At most 20.
std::vector<double> ticks(double low, double high, int wanted, bool log);

}  // namespace weir::bench
