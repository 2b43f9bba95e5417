// What weir intake reads beside flags: models, and what later sources add.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "ops/intake/intake.h"

namespace weir::cli {

struct IntakeSources {
  std::string model;  // a GGUF file, a folder, a config.json; or empty
};

void add_source_options(CLI::App* command, IntakeSources& sources);

// What they say, together. Errors: those of the readers, naming the file.
Result<ops::Intake> read_sources(const IntakeSources& sources);

}  // namespace weir::cli
