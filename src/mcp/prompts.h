// The protocols of the loop as prompts: what an agent does, step by step, for a case.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::mcp {

struct PromptArgument {
  std::string name, description;
  bool required = false;
  std::string otherwise;  // what stands for it when it is not given
};

struct Prompt {
  std::string name, title, description;
  std::vector<PromptArgument> arguments;
  std::string text;  // with {name} for each argument
};

std::vector<Prompt> all_prompts();

// The text with its arguments (an object of strings, or null). Error kInvalidValue: one that is
// missing, unknown or no string.
Result<std::string> fill_prompt(const Prompt& prompt, const text::Json& arguments);

}  // namespace weir::mcp
