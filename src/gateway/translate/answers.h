// Whole answers and errors of both protocols. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/translate/conversation.h"
#include "gateway/translate/protocol.h"
#include "text/json.h"

namespace weir::gateway::translate {

// The body of a chat.completion; of several choices the first. Errors: kCorrupt for what is none,
// kLimit for one that is too large.
Result<Answer> read_openai_answer(std::string_view body, const TranslateLimits& limits);
// The body of a message. Errors as above.
Result<Answer> read_anthropic_answer(std::string_view body, const TranslateLimits& limits);

// Texts are joined; thinking becomes "reasoning_content", as vLLM, SGLang and DeepSeek have it.
std::string write_openai_answer(const Answer& answer);
// Texts of white space alone are left out: Anthropic would refuse them in the next request.
std::string write_anthropic_answer(const Answer& answer);

// Counts as each protocol spells them; missing and wrong members count as absent.
TokenUsage read_openai_usage(const text::Json& usage);
// Anthropic's input_tokens do not include the cached ones. Later counts replace earlier ones.
void merge_anthropic_usage(const text::Json& usage, TokenUsage& out);
text::Json openai_usage(const TokenUsage& usage);
text::Json anthropic_usage(const TokenUsage& usage);

// "stop", "length", ...; an unknown one is kStop.
FinishReason read_openai_finish(std::string_view reason);
FinishReason read_anthropic_stop(std::string_view reason);
// "end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal". calls: the answer has tool
// calls, after which some engines say "stop".
std::string_view anthropic_stop_reason(FinishReason reason, bool by_sequence, bool calls);

// What an upstream's error says, of either protocol's shape or of none (a proxy's HTML). The code
// follows the status, and in a stream (status 200) the type; the message is at most 2 KiB. An
// upstream's 401, 402 and 403 concern the gateway's own key or account, not the client's:
// kInternal.
Error read_error(int status, std::string_view body);
// Whether the body is an error as servers of either protocol write it, rather than what a web
// server says of a path that it does not know ({"detail":"Not Found"}, a page).
bool is_api_error(std::string_view body);
// An error as the client's protocol has it: {"error":{...}} or {"type":"error","error":{...}}.
std::string write_error(Protocol protocol, const Error& error, std::string_view request_id = "");

}  // namespace weir::gateway::translate
