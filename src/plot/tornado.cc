#include "plot/tornado.h"

#include <algorithm>
#include <cmath>

#include "plot/svg_parts.h"

namespace weir::plot {
namespace {

constexpr double kBarPx = 16, kRowPx = 24;
constexpr double kEndPx = 84;  // beside a bar, for its input's value

struct Ends {
  double left = 0, right = 0;  // of the paper
  bool low_left = true;        // the input's low end is to the left
};

Ends ends_of(const TornadoBar& bar, const Scale& x) {
  const double a = x.at(bar.at_low), b = x.at(bar.at_high);
  return {std::min(a, b), std::max(a, b), a <= b};
}

}  // namespace

std::string tornado_svg(const Tornado& tornado) {
  std::vector<const TornadoBar*> bars;
  double low = tornado.base, high = tornado.base;
  size_t longest = 0;
  for (const TornadoBar& bar : tornado.bars) {
    if (!std::isfinite(bar.at_low) || !std::isfinite(bar.at_high)) continue;
    bars.push_back(&bar);
    low = std::min({low, bar.at_low, bar.at_high});
    high = std::max({high, bar.at_low, bar.at_high});
    longest = std::max(longest, bar.name.size());
  }
  if (bars.empty() || !std::isfinite(tornado.base)) return "";
  const double names = kCharacterPx * static_cast<double>(longest) + 16;
  Scale x{low, high > low ? high : low + 1, names + kEndPx, tornado.width - kRight - kEndPx, false};
  const double floor = kTop + kRowPx * static_cast<double>(bars.size());
  std::string out = open_svg(tornado.width, floor + kBottom, tornado.title);
  out += x_axis(x, floor, tornado.unit, kTop);
  for (size_t i = 0; i < bars.size(); ++i) {
    const double top = kTop + kRowPx * static_cast<double>(i) + (kRowPx - kBarPx) / 2;
    const double text = top + kBarPx / 2 + 4;
    const Ends e = ends_of(*bars[i], x);
    const double base = std::clamp(x.at(tornado.base), e.left, e.right);
    out += text_at(names - 8, text, "key", "end", bars[i]->name);
    out += rect_at(e.left, top, base - e.left, kBarPx, e.low_left ? "f0" : "f1");
    out += rect_at(base, top, e.right - base, kBarPx, e.low_left ? "f1" : "f0");
    out += text_at(e.left - 5, text, "tick", "end",
                   e.low_left ? bars[i]->low_text : bars[i]->high_text);
    out += text_at(e.right + 5, text, "tick", "start",
                   e.low_left ? bars[i]->high_text : bars[i]->low_text);
  }
  const double at = x.at(tornado.base);
  out += line_at(at, kTop - 4, at, floor, "mark");
  return out + "</svg>";
}

}  // namespace weir::plot
