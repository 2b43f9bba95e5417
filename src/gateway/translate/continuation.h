// A request whose stream broke off, as a request that goes on with it: prompt plus the text so far.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/translate/protocol.h"

namespace weir::gateway {

// How an upstream is told to go on with a chat's text. Completions are continued by prompt and text
// at every engine of OpenAI's kind.
enum class ContinueStyle : uint8_t {
  kNone,          // not at all
  kFinalMessage,  // a last message of the assistant, and continue_final_message: vLLM, SGLang, weir
  kPrefill,       // a last message of the assistant alone: llama.cpp, some of Anthropic's models
};

// "final_message", "prefill", "none".
std::optional<ContinueStyle> continue_style_of(std::string_view name);
// What an engine of gateway.yaml takes as it comes: llama.cpp has a prefill unless it was told not
// to; models of hosted APIs differ, so none of theirs is taken for granted.
ContinueStyle default_continue_style(std::string_view engine);

// body: as it goes to the upstream. tokens: of the text so far; max_tokens and its like become what
// is left. Errors: kUnsupported, with the reason, for what cannot go on: a shape that would begin
// anew (a schema, a grammar, a forced call), several choices, log probabilities, thinking, prompts
// that are no text, a text at Anthropic's that ends in white space (refused there); kInvalidJson.
Result<std::string> continue_request(std::string_view body, Protocol upstream,
                                     std::string_view path, ContinueStyle style,
                                     std::string_view text, int64_t tokens,
                                     const TranslateLimits& limits);

}  // namespace weir::gateway
