// The bodies of POST /tokenize and /detokenize, as vLLM shapes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/generation.h"
#include "text/json.h"

namespace weir::api {

struct TokenizeRequest {
  std::string model;
  std::optional<std::string> prompt;  // either this …
  text::Json messages;                // … or these
  bool add_special_tokens = true;     // BOS and EOS as the vocabulary says (prompt only)
  bool add_generation_prompt = true;
  bool return_token_strs = false;
};
Result<TokenizeRequest> parse_tokenize_request(const text::Json& body, const Limits& limits);

struct DetokenizeRequest {
  std::string model;
  std::vector<int32_t> tokens;
};
Result<DetokenizeRequest> parse_detokenize_request(const text::Json& body, const Limits& limits);

}  // namespace weir::api
