// --host of weir intake: the hardware fields, from this machine or a snapshot of another.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "ops/intake/intake.h"

namespace weir::cli {

struct HostSource {
  bool host = false;
  bool bench = false;
  std::string root;  // of a snapshot; "": this machine
};

void add_host_options(CLI::App* command, HostSource& source);

// Empty where it was not asked for. model: its largest file is what --bench reads; may be empty.
// Errors: those of open_host and measure_host; kUsage for --bench with a snapshot.
Result<ops::Intake> read_host_source(const HostSource& source, const std::string& model);

}  // namespace weir::cli
