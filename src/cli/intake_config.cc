#include "cli/intake_config.h"

#include "ops/lint/config_intake.h"
#include "os/file.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

}  // namespace

void add_config_source(CLI::App* command, ConfigSource& source) {
  command->add_option("--config", source.file,
                      "read a configuration: a command line, Compose file or manifest");
  command->add_option("--config-engine", source.engine,
                      "the engine of --config, where the file does not say it");
}

Status read_config_source(const ConfigSource& source, ops::Intake& intake) {
  if (source.file.empty()) return {};
  WEIR_ASSIGN(const std::string text, os::read_file(source.file, kMaxFileBytes));
  ops::LintOptions options;
  options.engine = source.engine;
  WEIR_ASSIGN(const ops::LintReport report, ops::lint_text(text, source.file, options));
  WEIR_ASSIGN(const ops::Intake found, ops::intake_of_config(report));
  intake.merge(found);
  return {};
}

}  // namespace weir::cli
