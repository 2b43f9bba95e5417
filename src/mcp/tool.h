// A command as a tool: its JSON schema, and the words of a call.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::mcp {

struct ToolParameter {
  enum class Kind : uint8_t { kSwitch, kInteger, kNumber, kString } kind = Kind::kString;
  std::string name;  // of the property: "max_tokens"
  std::string flag;  // "--max-tokens", "-p"; "" for an argument without a flag
  std::string description;
  std::string default_text;  // as the command shows it, or ""
  std::vector<std::string> choices;
  bool list = false;  // may be given several times
  bool required = false;
};

struct Tool {
  std::string name;                       // "bench_load"
  std::string title;                      // "weir bench load"
  std::string description;                // one line
  std::vector<std::string> command;       // "bench", "load"
  std::vector<ToolParameter> parameters;  // those without a flag in their order
  // What it may do to files and services: nothing, add to them, or change or replace what is there.
  enum class Effect : uint8_t { kReads, kAdds, kReplaces } effect = Effect::kReplaces;
  // Words that stand for a flag which a call does not give: {"limit", "--limit=40"}.
  std::vector<std::pair<std::string, std::string>> defaults;
  bool json = false;                       // it takes --json
  std::vector<std::string> json_excludes;  // parameters that --json does not go with
};

// JSON Schema 2020-12: an object that takes nothing else.
text::Json input_schema(const Tool& tool);

// The words behind the program's name: the command, its flags, --json, `--` and the arguments
// without a flag, so that no value is taken for a flag. `arguments` is an object or null. Error
// kInvalidValue: which parameter is wrong, what is taken.
Result<std::vector<std::string>> command_line(const Tool& tool, const text::Json& arguments);

}  // namespace weir::mcp
