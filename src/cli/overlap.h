// --allow-overlap, and what is said of a text that a model was calibrated on.
#pragma once

#include <CLI/CLI.hpp>

namespace weir::cli {

void add_allow_overlap(CLI::App* command, bool& allowed);
// share: above ops::kMaxOverlap.
void print_overlap(double share);

}  // namespace weir::cli
