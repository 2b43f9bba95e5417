// The body of POST /v1/chat/completions.
#pragma once

#include <optional>
#include <string>

#include "api/generation.h"
#include "text/json.h"

namespace weir::api {

struct ChatRequest {
  GenerationParams generation;
  text::Json messages;         // checked; content parts of type text are joined into one string
  text::Json tools;            // as sent, for the template; null without
  text::Json template_kwargs;  // chat_template_kwargs; null without
  bool add_generation_prompt = true;
  // The last message is the assistant's and not finished: its content, which the answer goes on
  // with; it is not among `messages` then. Nothing: a new message is begun.
  std::optional<std::string> begun;
};

// Errors name the field by its path: "messages[2].content[0].type".
Result<ChatRequest> parse_chat_request(const text::Json& body, const Limits& limits);
// The messages alone, as /tokenize takes them too.
Result<text::Json> parse_messages(const text::Json& messages, const std::string& path);

}  // namespace weir::api
