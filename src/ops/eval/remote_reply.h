// What an OpenAI-compatible server answered, taken for hostile: JSON depth and counts are bounded,
// numbers are finite, and an error names the member by its path ("choices[0].message.content"),
// what it must be and the remedy. No I/O. Any thread.
//
// Errors: kInvalidJson for bytes that are no JSON, kCorrupt for a member, kLimit for a bound.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/generate.h"

namespace weir::ops {

struct ReplyLimits {
  static constexpr size_t kBodyBytes = size_t{32} << 20;
  static constexpr size_t kAnswerBytes = size_t{1} << 20;  // of an answer, which is kept
  static constexpr size_t kValues = 4'000'000;             // JSON values
  static constexpr size_t kPromptTokens = 1 << 20;
  static constexpr size_t kToolCalls = 64;
  static constexpr size_t kModels = 4096;
  static constexpr size_t kErrorBytes = 300;  // of what an error says; cut
};

// An answer of /v1/completions.
Result<Generated> parse_completion_reply(std::string_view body);

// An answer of /v1/chat/completions. Its tool calls stand in the text as <tool_call> blocks, behind
// its content, so that parse_tool_calls finds them whichever way the server gives them. A `refusal`
// without content is the text; reasoning is left out.
Result<Generated> parse_chat_reply(std::string_view body);

// usage.prompt_tokens of either.
Result<int32_t> parse_prompt_tokens(std::string_view body);

// Of /v1/completions with echo and logprobs: the log-probability (nats) of each token of the prompt
// under those before it. values[i] is NaN where the server gives none: vLLM for the first. What was
// generated behind the prompt is left out.
Result<std::vector<double>> parse_prompt_logprobs(std::string_view body);

// Their sum past the first `context_tokens`. Error kCorrupt where there are none, or one is
// missing.
Result<double> choice_log_likelihood(const std::vector<double>& prompt_logprobs,
                                     int32_t context_tokens);

struct ServedModel {
  std::string id;
  std::optional<int64_t> window_tokens;  // max_model_len, where the server says it
};

// Of /v1/models: the model `wanted`, or with "" the only one. Error kModelNotFound with the names
// there are.
Result<ServedModel> parse_models_reply(std::string_view body, std::string_view wanted);

// Of /tokenize, as vLLM ("count") or llama.cpp ("tokens") shape it.
Result<size_t> parse_token_count(std::string_view body);

// What a body of an error says, in one line without control characters; its beginning where it is
// no JSON.
std::string reply_error(std::string_view body);

}  // namespace weir::ops
