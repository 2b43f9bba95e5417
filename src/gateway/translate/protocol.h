// The two protocols that clients and upstreams speak, what an upstream takes of them, and the
// bounds of everything that is translated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::gateway {

enum class Protocol : uint8_t {
  kOpenAi,  // POST /v1/chat/completions, as vLLM, SGLang, llama.cpp, weir and hosted APIs have it
  kAnthropic,  // POST /v1/messages
};

std::string_view protocol_name(Protocol protocol);  // "openai", "anthropic"

// Bounds; passing one is an error that names it.
struct TranslateLimits {
  size_t max_body_bytes = size_t{32}
                          << 20;  // of a request or a whole answer; Anthropic's own bound
  size_t max_depth = 64;          // nesting of any JSON
  size_t max_values = 2'000'000;  // JSON values of a body; each takes some 32 bytes
  size_t max_messages = 100'000;  // of a request; Anthropic's own bound
  size_t max_blocks = 200'000;    // content blocks of a request, an answer or a stream
  size_t max_tools = 10'000;      // definitions in a request, or calls in a stream
  size_t max_event_bytes = size_t{1} << 20;    // of one server-sent event
  size_t max_pending_bytes = size_t{4} << 20;  // of tool calls that wait for the one before them
  size_t max_observed_text_bytes = size_t{256} << 10;  // that a StreamObserver keeps
  bool operator==(const TranslateLimits&) const = default;
};

// Which sampling parameters an Anthropic upstream takes. Claude 4.7 and later answer 400 to any of
// them, Claude 4.1 to 4.6 to temperature and top_p together.
enum class SamplingStyle : uint8_t {
  kDrop,             // temperature, top_p and top_k are left out and named in `altered`
  kTemperatureOnly,  // top_p is left out where a temperature is given
  kAll,
};

// How an Anthropic upstream is told how hard to think.
enum class ThinkingStyle : uint8_t {
  kEffort,  // thinking adaptive with output_config.effort: Claude 4.6 and later
  kBudget,  // thinking enabled with budget_tokens: Claude 4.5 and earlier
  kDrop,    // not at all
};

struct TranslateOptions {
  std::string upstream_model;  // replaces the request's model; empty: it stays
  std::string client_model;    // stands in the answer; empty: what the request named
  // For Anthropic upstreams, which need max_tokens. Thinking counts toward it.
  int64_t default_max_tokens = 16'384;
  SamplingStyle sampling = SamplingStyle::kDrop;
  ThinkingStyle thinking = ThinkingStyle::kEffort;
  // For OpenAI upstreams.
  bool max_tokens_by_old_name = false;  // "max_tokens" in place of "max_completion_tokens"
  bool reasoning_effort = true;  // it takes reasoning_effort; hosted models without refuse it
  bool engine_extras = false;    // it takes top_k, as vLLM, SGLang, llama.cpp and weir do
  bool ask_usage = true;         // streams are asked for their usage, whatever the client said
  // What has no equivalent and would change the answer is dropped and named, not refused.
  bool drop_unsupported = false;
  bool refuse_unknown = false;  // members that neither protocol knows are refused, not dropped
  int64_t created_unix_s = 0;   // "created" of OpenAI answers that are made from Anthropic ones
  TranslateLimits limits;
  bool operator==(const TranslateOptions&) const = default;
};

}  // namespace weir::gateway
