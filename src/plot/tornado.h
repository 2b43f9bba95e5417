// Bars to both sides of a base, the widest first: which input moves a result how far. Any thread.
#pragma once

#include <string>
#include <vector>

namespace weir::plot {

struct TornadoBar {
  std::string name;
  std::string low_text, high_text;  // the input's ends, for the bar's ends
  double at_low = 0, at_high = 0;   // the result there
};

struct Tornado {
  std::string title;
  std::string unit;  // of the result, below the axis
  double base = 0;
  std::vector<TornadoBar> bars;  // drawn in this order
  double width = 720;
};

// Bars whose ends are not finite are left out; texts are escaped. "" without bars.
std::string tornado_svg(const Tornado& tornado);

}  // namespace weir::plot
