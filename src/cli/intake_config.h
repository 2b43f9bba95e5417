// weir intake --config: what a configuration of an engine says of the serving stack.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "ops/intake/intake.h"

namespace weir::cli {

struct ConfigSource {
  std::string file;    // or empty
  std::string engine;  // where the file does not say it
};

void add_config_source(CLI::App* command, ConfigSource& source);

// Merges what the file says. Errors: those of ops::lint_text.
Status read_config_source(const ConfigSource& source, ops::Intake& intake);

}  // namespace weir::cli
