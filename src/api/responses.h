// The bodies of successful answers, in OpenAI's shapes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/json.h"

namespace weir::api {

// A token as logprobs show it. bytes may be a part of a UTF-8 character.
struct TokenLogprob {
  std::string bytes;
  double logprob = 0;
  std::vector<TokenLogprob> top;  // most likely first; without their own top
  bool scored = true;             // false: the first of a prompt, which has no log probability
  // Of the choice's text, characters; unset: as many as begin in `bytes`.
  std::optional<int64_t> shown_characters = {};
};

struct AnswerMeta {
  std::string id;       // "chatcmpl-…", "cmpl-…"
  int64_t created = 0;  // Unix seconds
  std::string model;
};

struct AnswerUsage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;               // of the prompt
  int64_t accepted_prediction_tokens = 0;  // of drafts
  int64_t rejected_prediction_tokens = 0;
};

// Where the time of a request went, milliseconds.
struct AnswerTimings {
  double queue_ms = 0;       // until its first step
  double prefill_ms = 0;     // to the first token
  double decode_ms = 0;      // to the last
  double detokenize_ms = 0;  // of decode
  double write_ms = 0;       // making the answer's bytes and handing them to the connection
  double total_ms = 0;       // from the last byte of the request
};

// A choice, or with streaming what a step adds to it.
struct AnswerChoice {
  int32_t index = 0;
  std::string text;
  std::optional<std::string_view> finish_reason;  // "stop", "length"
  bool with_logprobs = false;
  std::vector<TokenLogprob> logprobs;
  std::optional<std::vector<int32_t>> token_ids;  // return_token_ids
  int64_t text_offset = 0;  // characters of the choice's text before this piece
};

text::Json usage_json(const AnswerUsage& usage);

std::string chat_completion(const AnswerMeta& meta, std::span<const AnswerChoice> choices,
                            const AnswerUsage& usage);
// role: the first chunk of a choice carries it.
std::string chat_chunk(const AnswerMeta& meta, const AnswerChoice& choice, bool role);
std::string text_completion(const AnswerMeta& meta, std::span<const AnswerChoice> choices,
                            const AnswerUsage& usage);
std::string text_chunk(const AnswerMeta& meta, const AnswerChoice& choice);
// The last chunk with stream_options.include_usage: no choices. `timings` are what the header
// server-timing, sent before the end is known, cannot say.
std::string usage_chunk(const AnswerMeta& meta, bool chat, const AnswerUsage& usage,
                        const AnswerTimings& timings);

struct ModelCard {
  std::string id;
  int64_t created = 0;
  int64_t max_model_len = 0;
};
text::Json model_json(const ModelCard& card);
std::string model_list(std::span<const ModelCard> cards);

}  // namespace weir::api
