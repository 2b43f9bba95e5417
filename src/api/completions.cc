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

namespace {

Status check_echo(const CompletionRequest& r) {
  const GenerationParams& g = r.generation;
  if (g.max_tokens == 0 && !r.echo) {
    return param_error(ErrorCode::kInvalidValue, "max_tokens",
                       "max_tokens is 0; it must be at least 1, or echo must be true");
  }
  if (r.echo && g.logprobs >= 0 && g.stream && g.n > 1) {
    return param_error(ErrorCode::kInvalidValue, "n",
                       "n is {}; a stream with echo and logprobs has one choice a prompt: leave "
                       "stream out, or send one request a choice",
                       g.n);
  }
  return {};
}

}  // namespace

Result<CompletionRequest> parse_completion_request(const Json& body, const Limits& limits) {
  WEIR_ASSIGN(Fields f, Fields::of(body));
  CompletionRequest r;
  WEIR_ASSIGN(r.generation, parse_generation(f, limits, /*least_tokens=*/0));
  if (!r.generation.max_tokens.has_value())
    r.generation.max_tokens = 16;  // OpenAI's default for this route
  WEIR_ASSIGN(const Json* prompt, f.require("prompt"));
  WEIR_ASSIGN(r.prompts, parse_prompts(*prompt, "prompt", limits.max_prompts, limits));
  WEIR_ASSIGN(const auto logprobs, f.integer("logprobs", 0, limits.max_top_logprobs));
  if (logprobs.has_value()) r.generation.logprobs = static_cast<int32_t>(*logprobs);
  WEIR_ASSIGN(const auto echo, f.boolean("echo"));
  r.echo = echo.value_or(false);
  WEIR_TRY(check_echo(r));
  r.generation.prompt_logprobs = r.echo && r.generation.logprobs >= 0;
  WEIR_ASSIGN(const auto suffix, f.string("suffix"));
  if (!suffix.value_or("").empty()) {
    return param_error(ErrorCode::kInvalidValue, "suffix", "suffix is not supported");
  }
  WEIR_TRY(f.finish(limits.strict));
  return r;
}

Status check_prompt_logprobs(const CompletionRequest& r,
                             std::span<const std::vector<int32_t>> prompts, const Limits& limits) {
  const GenerationParams& g = r.generation;
  if (!g.prompt_logprobs) return {};
  int64_t tokens = 0;
  for (const std::vector<int32_t>& prompt : prompts) tokens += static_cast<int64_t>(prompt.size());
  const int64_t entries = tokens * g.n * (1 + g.logprobs);
  const int64_t most = g.stream ? limits.max_streamed_prompt_logprobs : limits.max_prompt_logprobs;
  if (entries <= most) return {};
  return param_error(ErrorCode::kInvalidValue, "logprobs",
                     "echo with logprobs {} asks for {} log probabilities of {} prompt tokens; an "
                     "answer{} has at most {}: send fewer prompts a request, or ask for fewer "
                     "alternatives{}",
                     g.logprobs, entries, tokens, g.stream ? " that is streamed" : "", most,
                     g.stream ? ", or leave stream out" : "");
}

}  // namespace weir::api
