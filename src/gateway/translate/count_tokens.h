// How many tokens a request's prompt has, without a tokenizer: for reservations, for routing, and
// for POST /v1/messages/count_tokens where the upstream has nothing like it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/translate/protocol.h"

namespace weir::gateway {

// Rules of thumb. Anthropic's and OpenAI's manuals give 3.5 to 4 bytes of English a token; other
// languages and code have fewer, so that the estimate is low for them.
struct TokenEstimate {
  double bytes_per_token = 4.0;
  int64_t tokens_per_message = 4;    // role and separators, as OpenAI's cookbook counts them
  int64_t tokens_per_image = 1'600;  // Anthropic's bound for an image that it does not scale down
  TranslateLimits limits;
};

// Of a body of chat completions, completions, responses, embeddings, messages or count_tokens:
// texts, arguments and results of tools in bytes, definitions of tools as JSON, images at their
// flat rate, documents by their base64. Errors: kInvalidJson, kBodyTooLarge. Pure; any thread.
Result<int64_t> estimate_input_tokens(std::string_view body, const TokenEstimate& estimate);

// The answer of count_tokens: {"input_tokens": N}.
std::string count_tokens_body(int64_t tokens);

}  // namespace weir::gateway
