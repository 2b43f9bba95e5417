// A command line as a shell script: a comment for each line first, in their order, since a command
// that goes on over several lines has no room for them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/config_write/config_line.h"

namespace weir::ops {

// A word that a shell takes as it is: in single quotes where it needs them.
std::string script_word(std::string_view word);

// "# --flag value: why [source]" of each.
std::string shell_reasons(const std::vector<ConfigLine>& lines);
// The command over several lines; ends with a newline. first: "exec " or nothing.
std::string shell_command(std::string_view first, const std::vector<std::string>& program,
                          const std::vector<ConfigLine>& lines);

// What the lines of one environment are beside those of the base.
std::vector<EnvironmentDifference> line_differences(const std::vector<ConfigLine>& base,
                                                    const std::vector<ConfigLine>& value,
                                                    const std::string& file);

}  // namespace weir::ops
