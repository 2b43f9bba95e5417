// What goes into the engine and what comes out of it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace weir::engine {

using RequestId = uint64_t;

// How the next token is chosen. Ranges are checked by the api layer and again by Engine::submit.
struct SamplingParams {
  float temperature = 1.0F;  // 0: greedy
  float top_p = 1.0F;        // (0, 1]
  int32_t top_k = 0;         // 0: off
  float min_p = 0.0F;        // [0, 1]
  float repetition_penalty =
      1.0F;  // > 0; divides positive and multiplies negative logits of seen tokens
  float presence_penalty = 0.0F;                      // subtracted once from generated tokens
  float frequency_penalty = 0.0F;                     // subtracted per occurrence
  std::vector<std::pair<int32_t, float>> logit_bias;  // token id, added to its logit
  uint64_t seed = 0;
  int32_t logprobs = -1;  // -1: none; otherwise the chosen token's and this many of the most likely
};

enum class ServiceClass { kInteractive, kBatch };

// Whose request it is and what that tenant may take of the engine, as its keys file says at the
// time.
struct Tenant {
  std::string name;         // "": all requests without a key
  double weight = 1.0;      // share of the engine when tenants compete; > 0
  int32_t max_running = 0;  // sequences in the batch; 0: no bound of its own, here and below
  int32_t max_queued_requests = 0;  // that wait for their first step
  int64_t max_queued_tokens = 0;    // prompt tokens of those
};

struct Request {
  std::string request_id;       // the client's x-request-id; for people who read traces
  std::vector<int32_t> prompt;  // at least one token; empty when `texts` is not
  // Instead of a prompt: texts whose embeddings are wanted, each at least one token. Text i is
  // choice i of the events; of the fields below only deadline_ns counts.
  std::vector<std::vector<int32_t>> texts;
  SamplingParams sampling;
  int32_t max_tokens = 0;  // 0: what fits the window
  int32_t min_tokens = 0;  // end tokens and stops do not count before
  int32_t n = 1;           // choices; choice i draws from its own stream
  // Log probabilities of the prompt's own tokens: -1 none, otherwise each with this many of the
  // most likely beside it. Once for all choices, with choice 0.
  int32_t prompt_logprobs = -1;
  bool prompt_only = false;  // the prompt is computed, nothing is generated
  bool ignore_eos = false;
  std::vector<std::string> stop;        // the text ends before the first of them
  std::vector<int32_t> stop_token_ids;  // end generation like an end token
  int64_t deadline_ns = 0;              // engine clock; 0: none
  Tenant tenant;
  ServiceClass service_class = ServiceClass::kInteractive;
  int32_t priority = 0;             // within a tenant, lower first (as vLLM has it)
  std::string cache_salt;           // prefixes are shared only where it and the tenant are equal
  std::vector<int32_t> prediction;  // what the output may look like; a source of drafts, no promise

  bool embeds() const { return !texts.empty(); }
  int64_t prompt_tokens() const {
    auto tokens = static_cast<int64_t>(prompt.size());
    for (const std::vector<int32_t>& text : texts) tokens += static_cast<int64_t>(text.size());
    return tokens;
  }
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

struct TokenInfo {
  int32_t id = 0;
  float logprob = 0.0F;                        // of the model, before temperature and penalties
  std::vector<std::pair<int32_t, float>> top;  // most likely first
};

struct Usage {
  int32_t prompt_tokens = 0;
  int32_t completion_tokens = 0;  // over all choices
  int32_t cached_tokens = 0;      // of the prompt, whose keys and values were there already
  int32_t accepted_prediction_tokens = 0;  // of drafts, over all choices: they became output
  int32_t rejected_prediction_tokens = 0;  // they did not
};

struct Timings {
  double queue_ms = 0;           // submit to first step
  double prefill_ms = 0;         // first step to first token
  double decode_ms = 0;          // first token to last
  double detokenize_ms = 0;      // of decode: tokens to text and its stop strings
  double predicted_ttft_ms = 0;  // what admission expected of queue_ms + prefill_ms; 0: nothing
};

// What one step did for one choice of a request.
struct Event {
  int32_t choice = 0;
  std::vector<TokenInfo> tokens;
  // All tokens of the prompt, with prompt_logprobs: once, before anything generated. The first has
  // no log probability, for nothing comes before it.
  std::vector<TokenInfo> prompt;
  std::optional<TokenInfo> end_token;  // what was sampled and ended the text, without being shown
  std::string text;  // well-formed UTF-8; what may be the start of a stop string is held back
  std::vector<float> embedding;  // of a text: [dim], of unit length; with kStop
  std::optional<FinishReason> finish;
  std::optional<Error> error;  // with kError
};

// All events of one request in one step.
struct Delivery {
  RequestId id = 0;
  std::span<const Event> events;
  bool done = false;  // the last delivery: every choice has finished
  Usage usage;
  Timings timings;
};

// Receives the deliveries of one request. Called on the engine thread, at most once a step; must
// return quickly and not call back into the engine except for cancel(), pause() and resume().
// Destroyed on the engine thread after the last delivery.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_delivery(const Delivery& delivery) = 0;
};

}  // namespace weir::engine
