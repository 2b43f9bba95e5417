#include "api/completions.h"

#include <utility>

namespace weir::api {
using text::Json;

Result<std::vector<Prompt>> parse_prompts(const Json& v, const std::string& name, int32_t max_items,
                                          const Limits& limits) {
  const auto max_tokens = static_cast<size_t>(limits.max_prompt_tokens);
  std::vector<Prompt> prompts;
  if (v.is_string()) {
    prompts.emplace_back(v.as_string());
    return prompts;
  }
  if (!v.is_array()) return wrong_type(name, "a string, an array of strings, or token ids", v);
  if (v.size() == 0)
    return param_error(ErrorCode::kInvalidValue, name, "{} must not be empty", name);
  if (v.items()[0].is_number()) {
    WEIR_ASSIGN(std::vector<int32_t> ids, parse_token_ids(v, name, max_tokens));
    prompts.emplace_back(std::move(ids));
    return prompts;
  }
  if (v.size() > static_cast<size_t>(max_items)) {
    return param_error(ErrorCode::kInvalidValue, name, "{} has {} items; at most {} are taken",
                       name, v.size(), max_items);
  }
  for (size_t i = 0; i < v.size(); ++i) {
    const Json& item = v.items()[i];
    if (item.is_string()) {
      prompts.emplace_back(item.as_string());
      continue;
    }
    WEIR_ASSIGN(std::vector<int32_t> ids, parse_token_ids(item, index_path(name, i), max_tokens));
    prompts.emplace_back(std::move(ids));
  }
  return prompts;
}

Result<CompletionRequest> parse_completion_request(const Json& body, const Limits& limits) {
  WEIR_ASSIGN(Fields f, Fields::of(body));
  CompletionRequest r;
  WEIR_ASSIGN(r.generation, parse_generation(f, limits));
  if (!r.generation.max_tokens.has_value())
    r.generation.max_tokens = 16;  // OpenAI's default for this route
  WEIR_ASSIGN(const Json* prompt, f.require("prompt"));
  WEIR_ASSIGN(r.prompts, parse_prompts(*prompt, "prompt", limits.max_prompts, limits));
  WEIR_ASSIGN(const auto logprobs, f.integer("logprobs", 0, limits.max_top_logprobs));
  if (logprobs.has_value()) r.generation.logprobs = static_cast<int32_t>(*logprobs);
  WEIR_ASSIGN(const auto echo, f.boolean("echo"));
  r.echo = echo.value_or(false);
  if (r.echo && r.generation.logprobs >= 0) {
    return param_error(ErrorCode::kInvalidValue, "echo",
                       "echo together with logprobs is not supported yet");
  }
  WEIR_ASSIGN(const auto suffix, f.string("suffix"));
  if (!suffix.value_or("").empty()) {
    return param_error(ErrorCode::kInvalidValue, "suffix", "suffix is not supported");
  }
  WEIR_TRY(f.finish(limits.strict));
  return r;
}

}  // namespace weir::api
