#include "cli/command.h"
namespace weir::cli {
void add_eval_compare(CLI::App&, Selected&) {}
}  // namespace weir::cli
