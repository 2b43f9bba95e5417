// What the plots are drawn with.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::plot {

// Mean width of a character at 11 px.
inline constexpr double kCharacterPx = 6.3;
// Margins of a plot, px.
inline constexpr double kLeft = 58, kRight = 14, kTop = 34, kBottom = 42;

inline constexpr double kLegendLinePx = 18;

// Where a value falls on the paper.
struct Scale {
  double low = 0, high = 1;  // of the values
  double from = 0, to = 1;   // of the paper
  bool log = false;

  bool shows(double v) const { return std::isfinite(v) && (!log || v > 0); }
  double at(double v) const {
    const double share = log ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low);
    return from + std::clamp(share, 0.0, 1.0) * (to - from);
  }
};

std::string tick_text(double v);
// Elements; `content` is escaped, `css` is not.
std::string text_at(double x, double y, std::string_view css, std::string_view anchor,
                    std::string_view content);
std::string line_at(double x0, double y0, double x1, double y1, std::string_view css);
std::string rect_at(double x, double y, double width, double height, std::string_view css);
// <svg> with its title written at the top left.
std::string open_svg(double width, double height, std::string_view title);
using LegendEntries = std::vector<std::pair<std::string, std::string>>;  // (name, class)
// Ending at the right edge.
std::string legend(const LegendEntries& entries, double right, double y = kLegendLinePx);
double legend_width(const LegendEntries& entries);
// In as many lines as it takes to stay within `width`; an entry that is wider alone has its own.
std::vector<LegendEntries> legend_lines(const LegendEntries& entries, double width);
// Horizontal rules with their numbers, and the rotated name of the axis.
std::string y_axis(const Scale& x, const Scale& y, std::string_view label);
// Ticks, numbers, base line and name of the axis below; vertical rules up to `top` if it is >= 0.
std::string x_axis(const Scale& x, double floor, std::string_view label, double top = -1);

}  // namespace weir::plot
