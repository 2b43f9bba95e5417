// Pieces of a page that reports share. Internal to bench/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/report/report.h"

namespace weir::bench {

// The whole page around `body`; title is escaped.
std::string html_page(std::string_view title, std::string_view body);

// <table>: the first row is the head, the first column left-aligned and the others right; cells are
// markup already.
std::string html_table(const std::vector<std::vector<std::string>>& rows);

// What a sweep adds: its curve, its table, curves of all runs.
std::string sweep_html(const Report& report);

// A value and, smaller below it, its interval.
std::string html_estimate(const Estimate& e);

// A tile of the headline: name, value with unit, a line below.
std::string html_tile(std::string_view name, std::string_view value, std::string_view below);

// Curves of several distributions, x logarithmic.
struct Curve {
  std::string name;
  const Distribution* values;
};
std::string cdf_svg(std::string_view title, std::string_view x_label,
                    const std::vector<Curve>& curves, double bound, double width);

}  // namespace weir::bench
