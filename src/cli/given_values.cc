#include "cli/given_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace weir::cli {
namespace {

// Options whose empty value says something, by command.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kMayBeEmpty{{
    {"run", "--prompt"},
    {"run", "--system"},
    {"tokenize", "--text"},
    {"embed", "TEXT"},
    {"load", "--api-key"},  // of weir bench: none, whatever $WEIR_API_KEY says
    {"report", "--title"},
}};

bool may_be_empty(const CLI::App& command, const CLI::Option& option) {
  if (command.get_name() == "serve" && !option.get_positional()) return true;
  const std::pair<std::string_view, std::string_view> wanted(command.get_name(),
                                                             option.get_single_name());
  const std::string dashed = "--" + option.get_single_name();
  return std::any_of(kMayBeEmpty.begin(), kMayBeEmpty.end(), [&](const auto& one) {
    return one.first == wanted.first && (one.second == wanted.second || one.second == dashed);
  });
}

// Takes what strtod takes, as CLI11 does.
bool is_not_finite(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return end != text.c_str() && !std::isfinite(number);
}

std::string no_value_of(const CLI::App& command, const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";  // a flag
  const bool number = option.get_type_name().starts_with("FLOAT");
  for (const std::string& value : option.results()) {
    if (value.empty() && !may_be_empty(command, option))
      return fmt::format("{} is empty: give it a value, or leave it out", option.get_name());
    if (number && is_not_finite(value))
      return fmt::format("{} is {}, which is no finite number", option.get_name(), value);
  }
  return "";
}

}  // namespace

std::string no_value(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0) continue;
    std::string problem = no_value_of(app, *option);
    if (!problem.empty()) return problem;
  }
  for (const CLI::App* command : app.get_subcommands()) {
    std::string problem = no_value(*command);
    if (!problem.empty()) return problem;
  }
  return "";
}

}  // namespace weir::cli
