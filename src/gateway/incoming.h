// What the gateway reads of a client's request. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/route/prompt_blocks.h"
#include "text/json.h"

namespace weir::gateway {

// What goes to upstreams as it is asked for.
inline constexpr std::string_view kForwardedPaths[] = {
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings",
    "/v1/responses",        "/v1/messages",    "/v1/messages/count_tokens"};
// Of text: English, with the tokenizers of today's models. For what nobody has counted.
inline constexpr int64_t kBytesPerToken = 4;
constexpr int64_t tokens_of_bytes(size_t bytes) {
  return static_cast<int64_t>(bytes) / kBytesPerToken;
}

struct Incoming {
  std::string model;
  bool stream = false;
  bool include_usage = false;     // stream_options: a stream ends with its usage
  std::string user;               // "user" of OpenAI's requests; "" without
  int64_t max_output_tokens = 0;  // of each choice; 0: not said
  int64_t choices = 1;            // answers to the one prompt ("n"; "best_of" where it is more)
  int64_t input_tokens = 0;       // estimated: four bytes of text a token
  bool generates = true;          // false: embeddings, counts
  bool counts = false;            // it only asks how many tokens it has; nothing is computed
};

// Errors: kInvalidJson for what is no object; kInvalidValue with the field.
Result<Incoming> read_incoming(std::string_view path, const text::Json& body);

// llama.cpp's own name for max_tokens, which comes before that there and means nothing elsewhere,
// as max_tokens: so that what bounds answers holds at every upstream. Whether the body has changed.
// Error: kInvalidValue.
Result<bool> rename_bound(text::Json& body);

// The prompt as the prefix index knows it: system, tools, and the messages or the prompt in turn.
std::vector<PromptBlock> prompt_blocks(const text::Json& body, std::string_view tenant,
                                       const HashKey& key);

}  // namespace weir::gateway
