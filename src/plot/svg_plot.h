// Plots as inline SVG: lines, steps and areas over linear or logarithmic axes. Colours are CSS
// variables (svg_style()), so a page decides on light and dark; every text is escaped. Any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::plot {

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

// The variables and classes that the plots use, for a <style> element.
std::string svg_style();

// Round ticks within [low, high], about `wanted` of them; decades (with 2 and 5 where there is
// room) when log. At most 20.
std::vector<double> ticks(double low, double high, int wanted, bool log);

}  // namespace weir::plot
