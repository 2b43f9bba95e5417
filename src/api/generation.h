// The parameters that chat completions and completions share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/fields.h"
#include "base/result.h"

namespace weir::api {

struct Limits {
  int32_t max_choices = 16;  // n
  int32_t max_stops = 16;
  int32_t max_prompts = 64;  // prompts of one completions request
  int32_t max_texts = 2048;  // of one embeddings request, as OpenAI bounds it
  // Of the answer to one: 2,048 texts of 1,536 dimensions as numbers take at most 57 MB.
  int64_t max_embeddings_bytes = 64 << 20;
  int32_t max_prompt_tokens = 1 << 20;  // ids of one prompt, before the engine's own limit
  int32_t max_top_logprobs = 20;
  // Of prompts in one answer, with alternatives, over all choices; about 40 bytes each. An event of
  // a stream is made between two steps, so it has fewer.
  int64_t max_prompt_logprobs = 262'144;
  int64_t max_streamed_prompt_logprobs = 16'384;
  bool strict = false;  // unknown parameters are errors
};

struct GenerationParams {
  std::string model;
  std::optional<int32_t> max_tokens;  // 0: the prompt alone
  double temperature = 1.0;
  double top_p = 1.0;
  int32_t top_k = 0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  std::vector<std::pair<int32_t, double>> logit_bias;
  std::optional<uint64_t> seed;
  int32_t n = 1;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  int32_t min_tokens = 0;
  bool ignore_eos = false;
  bool stream = false;
  bool include_usage = false;
  bool return_token_ids = false;
  int32_t priority = 0;    // lower first (as vLLM has it)
  std::string cache_salt;  // prefixes are shared only within one
  bool batch = false;      // service_tier "flex" or "batch": may wait behind interactive requests
  std::string prediction;  // text that the output may resemble
  int32_t logprobs = -1;   // top entries beside the chosen token; -1: none
  bool prompt_logprobs = false;  // of the prompt's tokens too (echo with logprobs)
};

// Reads all but logprobs, whose shape differs between the two routes. least_tokens: of max_tokens.
// Errors name the field.
Result<GenerationParams> parse_generation(Fields& fields, const Limits& limits,
                                          int32_t least_tokens = 1);

}  // namespace weir::api
