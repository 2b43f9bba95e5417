// weir config migrate: a configuration of an engine for another version of it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"

namespace weir::cli {

struct MigrateOptions {
  std::string file;
  std::string from, to;  // "vllm-0.33.0"
  bool pin = false;
  bool json = false;
};

void add_migrate_options(CLI::App* command, MigrateOptions& options);

// Prints what changes, the diff and the new command lines. kExitOk when nothing is left to a
// person, else kExitNo.
Result<int> migrate_file(const MigrateOptions& options);

}  // namespace weir::cli
