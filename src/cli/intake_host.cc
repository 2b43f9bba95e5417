#include "cli/intake_host.h"

#include <fmt/format.h>

#include "cli/host.h"
#include "ops/data/accelerators.h"
#include "ops/doctor/read_machine.h"
#include "ops/intake/read_host.h"

namespace weir::cli {

void add_host_options(CLI::App* command, HostSource& source) {
  command->add_flag("--host", source.host, "read this machine: CPU, memory, accelerators, runtime");
  command->add_option("--host-root", source.root,
                      "read a snapshot that weir doctor --capture wrote instead");
  command->add_flag("--bench", source.bench,
                    "with --host: measure how fast the model's file is read as well");
}

Result<ops::Intake> read_host_source(const HostSource& source, const std::string& model) {
  if (!source.host && source.root.empty()) {
    if (source.bench) return make_error(ErrorCode::kUsage, "--bench goes with --host");
    return ops::Intake();
  }
  const bool snapshot = !source.root.empty() && source.root != "/";
  if (source.bench && snapshot) {
    return make_error(ErrorCode::kUsage,
                      "--bench measures this machine, --host-root reads a snapshot of another");
  }
  WEIR_ASSIGN(const auto files, open_host(source.root));
  ops::Machine machine = ops::read_machine(*files);
  for (const std::string& problem : machine.problems)
    fmt::print(stderr, "weir: could not be understood: {}\n", problem);
  if (source.bench) {
    const std::string file = largest_file(model);
    if (file.empty()) {
      return make_error(
          ErrorCode::kUsage,
          "--bench reads a model's file: name it with --model, a GGUF file or folder");
    }
    WEIR_ASSIGN(machine.measured, measure_host(file));
  }
  WEIR_ASSIGN(const ops::Accelerators known, ops::load_accelerators());
  return ops::intake_of_machine(machine, known, snapshot ? source.root : "this machine");
}

}  // namespace weir::cli
