// weir config vllm, kubernetes, ...: a plan as files of a target's own format.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/command.h"

namespace weir::cli {

// A subcommand for each of ops::config_targets(), and diff-envs.
void add_config_writers(CLI::App& config, Selected& selected);

}  // namespace weir::cli
