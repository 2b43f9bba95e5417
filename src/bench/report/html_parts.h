// Pieces of a page that reports share. Internal to bench/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/report/report.h"
#include "plot/page.h"

namespace weir::bench {

using plot::html_page;
using plot::html_table;
using plot::html_tile;

// What a sweep adds: its curve, its table, curves of all runs.
std::string sweep_html(const Report& report);

// A value and, smaller below it, its interval.
std::string html_estimate(const Estimate& e);

// Curves of several distributions, x logarithmic.
struct Curve {
  std::string name;
  const Distribution* values;
};
std::string cdf_svg(std::string_view title, std::string_view x_label,
                    const std::vector<Curve>& curves, double bound, double width);

}  // namespace weir::bench
