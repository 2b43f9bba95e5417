// Puts the pack and the entry of weir's MCP server where an agent looks.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::ops {

struct SkillInstall {
  std::string folder;   // of the project
  std::string agent;    // "claude": .claude/skills/NAME; "generic": .agents/skills/NAME
  std::string command;  // of the MCP entry: this program
  bool force = false;   // replaces files and an entry that differ
};

struct SkillInstalled {
  std::string pack, mcp_file;  // paths
  size_t files = 0;
  bool pack_written = false, entry_written = false;  // false: was so already
};

// Writes the whole pack or nothing, and the entry into FOLDER/.mcp.json, whose other entries stay.
// Errors: kUsage when something else is there and `force` is not given; kCorrupt for an .mcp.json
// that cannot be read; kIo, kNotFound.
Result<SkillInstalled> install_skill(const SkillInstall& request);

// The text of an .mcp.json with mcpServers.weir = {"command": COMMAND, "args": ["mcp"]}. `old` is
// its text before, or "". changed: whether it differs. Errors: kCorrupt, kUsage as above.
Result<std::string> merged_mcp_file(std::string_view old, const std::string& command, bool force,
                                    bool& changed);

}  // namespace weir::ops
