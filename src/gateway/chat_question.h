// A question of a client of Anthropic's kind, put as a chat of OpenAI's: for a cascade's step that
// wants log probabilities, which Anthropic's protocol has not. Its upstreams speak OpenAI's, so the
// answer is the one that they would have given by way of translation. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/translate/translate.h"
#include "text/json.h"

namespace weir::gateway {

inline constexpr std::string_view kChatPath = "/v1/chat/completions";

struct ChatQuestion {
  std::string body;                        // of POST kChatPath: whole, with log probabilities
  std::string altered;                     // for x-weir-altered; "": nothing was
  std::unique_ptr<AnswerTranslator> back;  // of its answer, to the client's protocol
};

// body: of POST /v1/messages; model: what the client called it. engine_extras: as TranslateOptions.
// Errors: those of translate_request.
Result<ChatQuestion> ask_as_chat(const text::Json& body, std::string_view model, bool engine_extras,
                                 int64_t unix_s);

}  // namespace weir::gateway
