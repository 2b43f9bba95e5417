// Plots of what only the bench knows: bars with intervals, and the waterfall of requests. Drawn
// with plot/svg_parts.h. Internal to bench/.
#pragma once

#include <string>
#include <vector>

#include "bench/report/summary.h"

namespace weir::bench {

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

}  // namespace weir::bench
