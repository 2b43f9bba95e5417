#include "gateway/translate/continuation.h"

#include <algorithm>
#include <array>

#include "gateway/translate/passthrough.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;
using translate::Dialect;

Error cannot(std::string_view why) {
  return make_error(ErrorCode::kUnsupported, "the stream cannot go on at another upstream: {}",
                    why);
}

bool given(const Json& body, std::string_view name) {
  const Json* value = body.find(name);
  return value != nullptr && !value->is_null() && !(value->is_bool() && !value->as_bool());
}

std::string string_at(const Json* object, std::string_view name) {
  const Json* value = object == nullptr ? nullptr : object->find(name);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

// What a second upstream would begin from the front, or what only a whole answer has.
Status check_plain(const Json& body) {
  // The first six: of vLLM, SGLang and llama.cpp.
  constexpr std::array<std::string_view, 17> kShapes = {"structured_outputs",
                                                        "guided_json",
                                                        "guided_regex",
                                                        "guided_choice",
                                                        "guided_grammar",
                                                        "regex",
                                                        "ebnf",
                                                        "json_schema",
                                                        "grammar",
                                                        "logprobs",
                                                        "prompt_logprobs",
                                                        "echo",
                                                        "suffix",
                                                        "use_beam_search",
                                                        "return_token_ids",
                                                        "audio",
                                                        "output_config"};
  for (const std::string_view name : kShapes)
    if (given(body, name)) return cannot(fmt::format("the request has {}", name));
  for (const std::string_view name : {"n", "best_of"}) {
    const Json* value = body.find(name);
    if (value != nullptr && value->is_int() && value->as_int() > 1)
      return cannot(fmt::format("the request has {} above 1", name));
  }
  if (const Json* format = body.find("response_format");
      format != nullptr && !format->is_null() && string_at(format, "type") != "text")
    return cannot("the request has a response_format");
  if (const Json* thinking = body.find("thinking");
      thinking != nullptr && !thinking->is_null() && string_at(thinking, "type") != "disabled")
    return cannot("the request has thinking");
  if (const Json* choice = body.find("tool_choice"); choice != nullptr && !choice->is_null()) {
    const std::string kind = choice->is_string() ? choice->as_string() : string_at(choice, "type");
    if (kind != "auto" && kind != "none") return cannot("the request forces a call of a tool");
  }
  return {};
}

// least: where nothing is left, or the client's number is below any that counts.
void take_off(Json& body, std::string_view name, int64_t tokens, int64_t least) {
  Json* value = body.find(name);
  if (value == nullptr || !value->is_int()) return;
  const int64_t n = value->as_int();
  *value = Json(n > tokens ? std::max(n - tokens, least) : least);
}

// To the text that the client began the answer with.
Status append_text(Json& message, std::string_view text) {
  Json* content = message.find("content");
  if (content != nullptr && content->is_string()) {
    *content = Json(content->as_string() + std::string(text));
    return {};
  }
  if (content == nullptr || !content->is_array() || content->size() == 0)
    return cannot("its last message has no text");
  Json* last = content->items().back().find("text");
  if (last == nullptr || !last->is_string()) return cannot("its last message ends in no text");
  *last = Json(last->as_string() + std::string(text));
  return {};
}

Status continue_chat(Json& body, Protocol upstream, ContinueStyle style, std::string_view text) {
  if (style == ContinueStyle::kNone) return cannot("the engine has no way to do so");
  if (upstream == Protocol::kAnthropic &&
      std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
    return cannot("its text ends in white space");
  Json* messages = body.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->size() == 0)
    return cannot("it has no messages");
  Json& last = messages->items().back();
  // A last message of the assistant is one that the client had begun, unless the engine makes that
  // a wish of its own.
  const bool begun = string_at(&last, "role") == "assistant" &&
                     (style == ContinueStyle::kPrefill || given(body, "continue_final_message"));
  if (begun) {
    WEIR_TRY(append_text(last, text));
  } else {
    Json message = Json::object();
    message.set("role", "assistant");
    message.set("content", text);
    messages->push_back(std::move(message));
  }
  if (style == ContinueStyle::kFinalMessage) {
    body.set("add_generation_prompt", false);
    body.set("continue_final_message", true);
  }
  return {};
}

}  // namespace

std::optional<ContinueStyle> continue_style_of(std::string_view name) {
  if (name == "none") return ContinueStyle::kNone;
  if (name == "final_message") return ContinueStyle::kFinalMessage;
  if (name == "prefill") return ContinueStyle::kPrefill;
  return std::nullopt;
}

ContinueStyle default_continue_style(std::string_view engine) {
  if (engine == "vllm" || engine == "sglang" || engine == "weir")
    return ContinueStyle::kFinalMessage;
  return engine == "llamacpp" ? ContinueStyle::kPrefill : ContinueStyle::kNone;
}

Result<std::string> continue_request(std::string_view raw, Protocol upstream, std::string_view path,
                                     ContinueStyle style, std::string_view text, int64_t tokens,
                                     const TranslateLimits& limits) {
  WEIR_ASSIGN(Json body, Json::parse(raw, {.max_depth = limits.max_depth,
                                           .max_values = limits.max_values,
                                           .replace_lone_surrogates = true}));
  if (!body.is_object()) return cannot("it is no object");
  WEIR_TRY(check_plain(body));
  switch (translate::dialect_of(upstream, path)) {
    case Dialect::kCompletions: {
      Json* prompt = body.find("prompt");
      if (prompt == nullptr || !prompt->is_string()) return cannot("its prompt is no single text");
      *prompt = Json(prompt->as_string() + std::string(text));
      break;
    }
    case Dialect::kChat:
    case Dialect::kMessages:
      if (!text.empty()) WEIR_TRY(continue_chat(body, upstream, style, text));
      break;
    default:
      return cannot("it is neither a chat nor a completion");
  }
  take_off(body, "max_tokens", tokens, 1);
  take_off(body, "max_completion_tokens", tokens, 1);
  take_off(body, "min_tokens", tokens, 0);
  return body.dump();
}

}  // namespace weir::gateway
