// The commands of this program as tools, read off their declarations, so that none is forgotten.
#pragma once

#include <CLI/CLI.hpp>
#include <string_view>
#include <vector>

#include "mcp/tool.h"

namespace weir::cli {

// Every command below `root` but those that serve until they are ended, that hand out secrets, and
// mcp itself.
std::vector<mcp::Tool> mcp_tools(const CLI::App& root);

// The commands that are left out, as "bench mock".
const std::vector<std::string_view>& mcp_left_out();

}  // namespace weir::cli
