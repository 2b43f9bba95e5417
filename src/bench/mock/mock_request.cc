#include "bench/mock/mock_request.h"

#include "text/json.h"

namespace weir::bench {

using text::Json;

namespace {

constexpr std::string_view kToken = " w";

// Of a text, or of the texts of a list; what is no text counts as `other` words.
int32_t words_of(const Json& v, int32_t other) {
  if (v.is_string()) return count_words(v.as_string());
  if (!v.is_array()) return 0;
  int32_t words = 0;
  for (const Json& item : v.items()) {
    const Json* text = item.is_object() ? item.find("text") : &item;
    words += text != nullptr && text->is_string() ? count_words(text->as_string()) : other;
  }
  return words;
}

Result<int32_t> prompt_words(const Json& body) {
  if (const Json* prompt = body.find("prompt")) {
    if (prompt->is_string() || prompt->is_array()) return words_of(*prompt, 1);  // ids: one each
    return param_error(ErrorCode::kInvalidValue, "prompt", "prompt must be a text or an array");
  }
  const Json* messages = body.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->size() == 0) {
    return param_error(ErrorCode::kInvalidValue, "prompt", "give a prompt or messages");
  }
  int32_t words = 0;
  for (const Json& message : messages->items()) {
    const Json* content = message.is_object() ? message.find("content") : nullptr;
    if (content != nullptr) words += words_of(*content, 0);
  }
  return words;
}

std::string head(const MockRequest& r, std::string_view id, bool chunk) {
  const std::string_view object = !r.chat ? "text_completion"
                                  : chunk ? "chat.completion.chunk"
                                          : "chat.completion";
  return fmt::format(R"({{"id":"{}","object":"{}","created":0,"model":{})", id, object,
                     text::json_quote(r.model));
}

std::string usage(const MockRequest& r) {
  return fmt::format(R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                     R"("prompt_tokens_details":{{"cached_tokens":0}}}})",
                     r.prompt_tokens, r.output_tokens, int64_t{r.prompt_tokens} + r.output_tokens);
}

std::string event(const std::string& json) { return "data: " + json + "\n\n"; }

}  // namespace

int32_t count_words(std::string_view text) {
  int32_t words = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    words += !blank && !in_word ? 1 : 0;
    in_word = !blank;
  }
  return words;
}

Result<MockRequest> parse_mock_request(std::string_view body, bool chat) {
  WEIR_ASSIGN(const Json json, Json::parse(body));
  MockRequest r;
  r.chat = chat;
  const Json* model = json.find("model");
  if (model != nullptr && !model->is_null()) {
    if (!model->is_string())
      return param_error(ErrorCode::kInvalidValue, "model", "model must be a text");
    r.model = model->as_string();
  }
  WEIR_ASSIGN(r.prompt_tokens, prompt_words(json));
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    const Json* max = json.find(name);
    if (max == nullptr || max->is_null()) continue;
    if (!max->is_int() || max->as_int() < 1 || max->as_int() > kMockMaxOutputTokens) {
      return param_error(ErrorCode::kInvalidValue, name, "{} must be a number from 1 to {}", name,
                         kMockMaxOutputTokens);
    }
    r.output_tokens = static_cast<int32_t>(max->as_int());
  }
  const Json* stream = json.find("stream");
  r.stream = stream != nullptr && stream->is_bool() && stream->as_bool();
  const Json* options = json.find("stream_options");
  const Json* include = options != nullptr ? options->find("include_usage") : nullptr;
  r.include_usage = include != nullptr && include->is_bool() && include->as_bool();
  return r;
}

Result<int32_t> parse_mock_tokenize(std::string_view body) {
  WEIR_ASSIGN(const Json json, Json::parse(body));
  return prompt_words(json);
}

std::string mock_token_event(const MockRequest& r, std::string_view id) {
  const std::string choice = r.chat ? fmt::format(R"("delta":{{"content":"{}"}})", kToken)
                                    : fmt::format(R"("text":"{}","logprobs":null)", kToken);
  return event(head(r, id, true) +
               fmt::format(R"(,"choices":[{{"index":0,{},"finish_reason":null}}]}})", choice));
}

std::string mock_finish_event(const MockRequest& r, std::string_view id) {
  const std::string_view choice = r.chat ? R"("delta":{})" : R"("text":"","logprobs":null)";
  return event(head(r, id, true) +
               fmt::format(R"(,"choices":[{{"index":0,{},"finish_reason":"length"}}]}})", choice));
}

std::string mock_usage_event(const MockRequest& r, std::string_view id) {
  return event(head(r, id, true) + R"(,"choices":[],)" + usage(r) + "}");
}

std::string mock_answer(const MockRequest& r, std::string_view id) {
  std::string text;
  for (int32_t i = 0; i < r.output_tokens; ++i) text += kToken;
  const std::string choice =
      r.chat ? fmt::format(R"("message":{{"role":"assistant","content":"{}"}})", text)
             : fmt::format(R"("text":"{}","logprobs":null)", text);
  return head(r, id, false) +
         fmt::format(R"(,"choices":[{{"index":0,{},"finish_reason":"length"}}],)", choice) +
         usage(r) + "}";
}

}  // namespace weir::bench
