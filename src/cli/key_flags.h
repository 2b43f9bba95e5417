// Flags of a command out of the keys of its configuration, and the sources that they, the
// environment and a file make.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "config/settings.h"

namespace weir::cli {

// One flag for each key that has one; what is given ends up in `values`, checked. keys and values
// outlive the parsing.
void add_key_flags(CLI::App* command, std::span<const config::Key> keys,
                   config::FlagValues& values);

// Variables of this process that are probably meant for a key but set none, each with the one
// meant.
std::vector<std::pair<std::string, std::string>> misspelt_variables(
    std::span<const config::Key> keys);

// flags > WEIR_* variables > file ("": none). Errors: those of config::read_yaml and
// config::Settings::resolve.
Result<config::Settings> resolve_settings(std::span<const config::Key> keys,
                                          const config::FlagValues& flags, const std::string& file);

}  // namespace weir::cli
