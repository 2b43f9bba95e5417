#include "gateway/chat_question.h"

#include <utility>

#include "gateway/whole_answer.h"

namespace weir::gateway {

Result<ChatQuestion> ask_as_chat(const text::Json& body, std::string_view model, bool engine_extras,
                                 int64_t unix_s) {
  constexpr std::string_view kMessagesPath = "/v1/messages";
  TranslateOptions options;
  options.client_model = model;
  options.created_unix_s = unix_s;
  options.engine_extras = engine_extras;
  WEIR_ASSIGN(TranslatedRequest request,
              translate_request(Protocol::kAnthropic, Protocol::kOpenAi, kMessagesPath,
                                whole_request(body, kMessagesPath, false), options));
  WEIR_ASSIGN(text::Json chat, text::Json::parse(request.body));
  ChatQuestion out;
  out.body = whole_request(std::move(chat), kChatPath, true);
  out.altered = altered_header(request.altered);
  out.back = make_answer_translator(std::move(request.plan));
  return out;
}

}  // namespace weir::gateway
