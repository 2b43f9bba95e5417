// The body of POST /v1/completions.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "api/generation.h"
#include "text/json.h"

namespace weir::api {

using Prompt = std::variant<std::string, std::vector<int32_t>>;  // text or token ids

struct CompletionRequest {
  GenerationParams generation;
  std::vector<Prompt> prompts;  // at least one; choice index = prompt × n + choice
  bool echo = false;
};

// "text", ["text", …], [ids…] or [[ids…], …]: at most max_items. name: of the field.
Result<std::vector<Prompt>> parse_prompts(const text::Json& value, const std::string& name,
                                          int32_t max_items, const Limits& limits);

Result<CompletionRequest> parse_completion_request(const text::Json& body, const Limits& limits);

}  // namespace weir::api
