#include "cli/overlap.h"

#include <fmt/format.h>

namespace weir::cli {

void add_allow_overlap(CLI::App* command, bool& allowed) {
  command->add_flag("--allow-overlap", allowed,
                    "go on with a text that the model was calibrated on (weir quantize keeps a "
                    "sketch of it in the file), and say how much of it");
}

void print_overlap(double share) {
  fmt::print("the model was calibrated on {:.1f} % of this text: the figures flatter\n",
             100 * share);
}

}  // namespace weir::cli
