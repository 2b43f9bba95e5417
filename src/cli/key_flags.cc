#include "cli/key_flags.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace weir::cli {
namespace {

std::string check(const config::Key& key, const std::string& text) {
  const auto value = config::parse_value(key, text);
  return value.ok() ? "" : value.error().message;
}

std::string type_name(const config::Key& key) {
  switch (key.type) {
    case config::Type::kInt:
      return "INT";
    case config::Type::kNumber:
      return "NUMBER";
    default:
      return "TEXT";
  }
}

// The default where it says something; of a text that is empty, what that means.
std::string help_of(const config::Key& key) {
  std::string help(key.spec.help);
  const std::string value = config::show(key, key.fallback);
  if (!key.spec.unset.empty()) {
    help += fmt::format(" (default: {})", key.spec.unset);
  } else if (key.type != config::Type::kBool && !value.empty()) {
    help += fmt::format(" (default: {})", value);
  }
  return help;
}

void add_flag(CLI::App* c, const config::Key& key, config::FlagValues& values) {
  const std::string help = help_of(key);
  if (key.type == config::Type::kBool) {
    // "--no-x" for what is on by default; "--x=false" works for every one.
    const bool on = std::get<bool>(key.fallback);
    const std::string names = on ? key.flag + ",!--no-" + key.flag.substr(2) : key.flag;
    c->add_flag_function(
        names, [&key, &values](int64_t n) { values[key.path] = {n > 0 ? "true" : "false"}; }, help);
    return;
  }
  auto* option = c->add_option_function<std::vector<std::string>>(
      key.flag,
      [&key, &values](const std::vector<std::string>& given) { values[key.path] = given; }, help);
  option->allow_extra_args(false)->type_name(type_name(key));
  if (key.type != config::Type::kList) option->expected(1);
  option->check([&key](const std::string& text) { return check(key, text); });
}

}  // namespace

void add_key_flags(CLI::App* command, std::span<const config::Key> keys,
                   config::FlagValues& values) {
  for (const config::Key& key : keys) {
    if (!key.flag.empty()) add_flag(command, key, values);
  }
}

std::vector<std::pair<std::string, std::string>> misspelt_variables(
    std::span<const config::Key> keys) {
  // Read by other parts: WEIR_ISA, and WEIR_API_KEY by bench load.
  constexpr std::array<std::string_view, 2> kOthers{"WEIR_ISA", "WEIR_API_KEY"};
  std::vector<std::string> names;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    if (std::find(kOthers.begin(), kOthers.end(), name) == kOthers.end()) names.emplace_back(name);
  }
  return config::misspelt_variables(keys, names);
}

Result<config::Settings> resolve_settings(std::span<const config::Key> keys,
                                          const config::FlagValues& flags,
                                          const std::string& file) {
  config::Sources sources;
  sources.flags = flags;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  if (!file.empty()) {
    sources.file_name = file;
    WEIR_ASSIGN(sources.file, config::read_yaml(file));
  }
  return config::Settings::resolve(keys, sources);
}

}  // namespace weir::cli
