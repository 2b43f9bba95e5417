#include "plot/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "plot/svg_parts.h"

namespace weir::plot {
namespace {

// The range of an axis over all series: from 0 when linear, a little air above.
Scale make_scale(const Plot& plot, bool is_x, double from, double to) {
  const Axis& axis = is_x ? plot.x : plot.y;
  Scale s;
  s.from = from;
  s.to = to;
  s.log = axis.log;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Series& series : plot.series) {
    for (const auto& [x, y] : series.points) {
      const double v = is_x ? x : y;
      if (!s.shows(v)) continue;
      low = std::min(low, v);
      high = std::max(high, v);
    }
  }
  if (!(low <= high)) low = axis.log ? 1 : 0, high = axis.log ? 10 : 1;
  if (!axis.log) low = std::min(low, 0.0);
  const double air = is_x ? 1 : 1.08;
  s.low = axis.min.value_or(low);
  s.high = axis.max.value_or(axis.log ? high * (is_x ? 1 : 1.3) : high * air);
  if (!(s.high > s.low)) s.high = axis.log ? s.low * 10 : s.low + 1;
  return s;
}

std::string draw(const Series& s, const Scale& x, const Scale& y) {
  std::string path;
  std::string fill;
  std::string dots;
  double first = 0;
  double last = 0;
  bool open = false;
  const auto close = [&] {
    if (open && s.area)
      fill += fmt::format("L{:.1f} {:.1f}L{:.1f} {:.1f}Z", last, y.from, first, y.from);
    open = false;
  };
  for (const auto& [px, py] : s.points) {
    if (!x.shows(px) || !y.shows(py)) {
      close();
      continue;
    }
    const double ax = x.at(px);
    const double ay = y.at(py);
    const std::string step = fmt::format("{}{:.1f} {:.1f}", open ? "L" : "M", ax, ay);
    path += step;
    if (s.area) fill += step;
    if (!open) first = ax;
    last = ax;
    open = true;
    if (s.dots) {
      dots += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3.5" class="dot f{}"/>)", ax, ay,
                          s.colour);
    }
  }
  close();
  std::string out;
  if (!fill.empty()) out += fmt::format(R"(<path d="{}" class="area f{}"/>)", fill, s.colour);
  if (!path.empty()) {
    out += fmt::format(R"(<path d="{}" class="line s{}{}"/>)", path, s.colour,
                       s.dashed ? " dashed" : "");
  }
  return out + dots;
}

std::string draw(const Mark& m, const Scale& x, const Scale& y) {
  if (m.x.has_value() && (!x.shows(*m.x) || *m.x < x.low || *m.x > x.high)) return "";
  if (m.y.has_value() && (!y.shows(*m.y) || *m.y < y.low || *m.y > y.high)) return "";
  if (m.x.has_value() && m.y.has_value()) {
    const double ax = x.at(*m.x);
    const double ay = y.at(*m.y);
    // To the left where there is room: curves of a rising load leave the point to the right.
    const bool left = ax - x.from > kCharacterPx * static_cast<double>(m.text.size()) + 20;
    return fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="8" class="ring"/>)", ax, ay) +
           text_at(ax + (left ? -12 : 12), ay - 8, "note", left ? "end" : "start", m.text);
  }
  if (m.x.has_value()) {
    const double ax = x.at(*m.x);
    const bool near_right = ax > x.to - 60;
    return line_at(ax, y.from, ax, y.to, "mark") + text_at(ax + (near_right ? -4 : 4), y.to + 10,
                                                           "note", near_right ? "end" : "start",
                                                           m.text);
  }
  if (!m.y.has_value()) return "";
  return line_at(x.from, y.at(*m.y), x.to, y.at(*m.y), "mark") +
         text_at(x.from + 6, y.at(*m.y) - 4, "note", "start", m.text);
}

}  // namespace

std::string plot_svg(const Plot& plot) {
  const Scale x = make_scale(plot, true, kLeft, plot.width - kRight);
  std::vector<std::pair<std::string, std::string>> entries;
  for (const Series& s : plot.series) {
    if (!s.name.empty()) entries.emplace_back(s.name, fmt::format("f{}", s.colour));
  }
  // A legend that would run into the title, a little bolder, goes below it, in the lines it needs.
  const double room = plot.width - kLeft - kRight;
  const double title_width = 1.3 * kCharacterPx * static_cast<double>(plot.title.size());
  const auto lines = legend_lines(entries, room);
  const bool below = legend_width(entries) > room - title_width;
  const double under_title = below ? kLegendLinePx * static_cast<double>(lines.size()) : 0;
  const Scale y = make_scale(plot, false, plot.height - kBottom, kTop + under_title);
  std::string out = open_svg(plot.width, plot.height, plot.title);
  for (size_t i = 0; i < lines.size(); ++i)
    out += legend(lines[i], plot.width - kRight,
                  kLegendLinePx * static_cast<double>(i + (below ? 2 : 1)));
  for (const auto& [begin, end] : plot.shaded) {
    if (x.shows(begin) && x.shows(end))
      out +=
          rect_at(x.at(begin), y.to, std::max(0.0, x.at(end) - x.at(begin)), y.from - y.to, "band");
  }
  out += y_axis(x, y, plot.y.label) + x_axis(x, y.from, plot.x.label);
  for (const Series& s : plot.series) out += draw(s, x, y);
  for (const Mark& m : plot.marks) out += draw(m, x, y);
  return out + "</svg>";
}

}  // namespace weir::plot
