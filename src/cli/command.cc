#include "cli/command.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

#include "os/file.h"

namespace weir::cli {

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
      return kExitUsage;
    case ErrorCode::kServerOverloaded:
    case ErrorCode::kInternal:
      return kExitUnavailable;
    default:
      return kExitBadInput;
  }
}

Result<std::string> read_input(const std::string& file, uint64_t max_bytes) {
  return os::read_file(file == "-" ? "/dev/stdin" : file, max_bytes);
}

std::string seed_problem(const std::string& value) {
  uint64_t seed = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, seed);
  const bool octal = value.size() > 1 && value.front() == '0';
  if (error == std::errc() && stop == end && !octal) return "";
  return fmt::format("Value {} not in range 0 to {}", value, UINT64_MAX);
}

CLI::App* add_command(CLI::App& root, const std::string& name, const std::string& summary,
                      const std::string& examples) {
  // The description is what --help prints first, and its first line is what the parent's list
  // shows.
  CLI::App* command = root.add_subcommand(name, summary);
  command->formatter_fn(
      [summary, examples](const CLI::App* app, std::string app_name, CLI::AppFormatMode mode) {
        if (mode == CLI::AppFormatMode::Sub)
          return CLI::Formatter().make_help(app, std::move(app_name), mode);
        std::string text = "Examples:\n" + examples + "\n" +
                           CLI::Formatter().make_help(app, std::move(app_name), mode);
        return text;
      });
  return command;
}

}  // namespace weir::cli
