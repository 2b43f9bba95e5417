// The body of POST /v1/completions.
#pragma once

#include <cstdint>
#include <span>
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
  bool echo = false;            // the prompt comes before the answer, with logprobs its tokens too
};

// "text", ["text", …], [ids…] or [[ids…], …]: at most max_items. name: of the field.
Result<std::vector<Prompt>> parse_prompts(const text::Json& value, const std::string& name,
                                          int32_t max_items, const Limits& limits);

Result<CompletionRequest> parse_completion_request(const text::Json& body, const Limits& limits);

// Whether an answer may have as many log probabilities of the prompts' tokens as are asked for.
Status check_prompt_logprobs(const CompletionRequest& request,
                             std::span<const std::vector<int32_t>> prompts, const Limits& limits);

}  // namespace weir::api
