#include "api/chat_completions.h"

#include <algorithm>
#include <array>

#include "text/utf8.h"

namespace weir::api {
namespace {

using text::Json;

constexpr std::array<std::string_view, 6> kRoles{"system",    "developer", "user",
                                                 "assistant", "tool",      "function"};

// A string stays; an array of text parts becomes one string.
Result<Json> parse_content(const Json& content, const std::string& path) {
  if (content.is_string()) return content;
  if (!content.is_array())
    return wrong_type(path, "a string or an array of content parts", content);
  std::string joined;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part_path = index_path(path, i);
    WEIR_ASSIGN(Fields part, Fields::of(content.items()[i], part_path));
    WEIR_ASSIGN(const std::string type, part.require_string("type"));
    if (type != "text") {
      return param_error(ErrorCode::kInvalidValue, part.path("type"),
                         "{} is {}; this model takes only text parts", part.path("type"),
                         text::json_quote(text::cut_utf8(type, 40)));
    }
    WEIR_ASSIGN(const std::string text, part.require_string("text"));
    if (i > 0) joined += "\n";
    joined += text;
  }
  return Json(std::move(joined));
}

Result<Json> parse_message(const Json& message, const std::string& path) {
  WEIR_ASSIGN(Fields f, Fields::of(message, path));
  WEIR_ASSIGN(const std::string role, f.require_string("role"));
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    return param_error(ErrorCode::kInvalidValue, f.path("role"), "{} is {}; it must be one of {}",
                       f.path("role"), text::json_quote(text::cut_utf8(role, 40)),
                       fmt::join(kRoles, ", "));
  }
  Json out = message;
  const Json* content = f.find("content");
  const bool calls = f.find("tool_calls") != nullptr || f.find("function_call") != nullptr;
  if (content != nullptr) {
    WEIR_ASSIGN(Json text, parse_content(*content, f.path("content")));
    out.set("content", std::move(text));
  } else if (role != "assistant" || !calls) {
    return param_error(ErrorCode::kInvalidValue, f.path("content"), "{} is required",
                       f.path("content"));
  }
  if (const Json* list = f.find("tool_calls"); list != nullptr && !list->is_array()) {
    return wrong_type(f.path("tool_calls"), "an array", *list);
  }
  return out;
}

Status check_response_format(Fields& f) {
  const Json* format = f.find("response_format");
  if (format == nullptr) return {};
  WEIR_ASSIGN(Fields o, Fields::of(*format, f.path("response_format")));
  WEIR_ASSIGN(const auto type, o.string("type"));
  if (type.value_or("") == "text") return {};
  return param_error(ErrorCode::kUnsupportedSchema, o.path("type"),
                     "{} is {}; this server produces only \"text\" so far", o.path("type"),
                     text::json_quote(text::cut_utf8(type.value_or(""), 40)));
}

Status parse_tools(Fields& f, ChatRequest& r) {
  if (const Json* tools = f.find("tools"); tools != nullptr) {
    if (!tools->is_array()) return wrong_type(f.path("tools"), "an array", *tools);
    for (size_t i = 0; i < tools->size(); ++i) {
      WEIR_ASSIGN(Fields tool, Fields::of(tools->items()[i], index_path(f.path("tools"), i)));
      WEIR_ASSIGN(const Json* function, tool.require("function"));
      WEIR_ASSIGN(Fields fn, Fields::of(*function, tool.path("function")));
      WEIR_ASSIGN([[maybe_unused]] const std::string name, fn.require_string("name"));
    }
    if (tools->size() > 0) r.tools = *tools;
  }
  const Json* choice = f.find("tool_choice");
  if (choice == nullptr) return {};
  const bool known =
      choice->is_string() && (choice->as_string() == "auto" || choice->as_string() == "none");
  if (!known) {
    return param_error(
        ErrorCode::kInvalidValue, f.path("tool_choice"),
        "tool_choice must be \"auto\" or \"none\"; forcing a call is not supported yet");
  }
  if (choice->as_string() == "none") r.tools = Json();
  return {};
}

Status parse_logprobs(Fields& f, const Limits& limits, GenerationParams& p) {
  WEIR_ASSIGN(const auto logprobs, f.boolean("logprobs"));
  WEIR_ASSIGN(const auto top, f.integer("top_logprobs", 0, limits.max_top_logprobs));
  if (top.has_value() && !logprobs.value_or(false)) {
    return param_error(ErrorCode::kInvalidValue, f.path("top_logprobs"),
                       "top_logprobs needs logprobs to be true");
  }
  if (logprobs.value_or(false)) p.logprobs = static_cast<int32_t>(top.value_or(0));
  return {};
}

// Takes the last message, which the answer goes on with.
Result<std::string> take_begun(Json& messages) {
  const size_t last = messages.size() - 1;
  const Json& message = messages.items()[last];
  const Json* content = message.find("content");
  const bool calls =
      message.find("tool_calls") != nullptr || message.find("function_call") != nullptr;
  if (message.find("role")->as_string() != "assistant" || content == nullptr || calls) {
    return param_error(ErrorCode::kInvalidValue, index_path("messages", last),
                       "with continue_final_message the last message must be the assistant's, "
                       "with content and without tool calls");
  }
  std::string text = content->as_string();
  messages.items().pop_back();
  return text;
}

}  // namespace

Result<Json> parse_messages(const Json& messages, const std::string& path) {
  if (!messages.is_array()) return wrong_type(path, "an array of messages", messages);
  if (messages.size() == 0)
    return param_error(ErrorCode::kInvalidValue, path, "{} must not be empty", path);
  Json out = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    WEIR_ASSIGN(Json message, parse_message(messages.items()[i], index_path(path, i)));
    out.push_back(std::move(message));
  }
  return out;
}

Result<ChatRequest> parse_chat_request(const Json& body, const Limits& limits) {
  WEIR_ASSIGN(Fields f, Fields::of(body));
  ChatRequest r;
  WEIR_ASSIGN(r.generation, parse_generation(f, limits));
  WEIR_ASSIGN(const Json* messages, f.require("messages"));
  WEIR_ASSIGN(r.messages, parse_messages(*messages, "messages"));
  WEIR_TRY(parse_logprobs(f, limits, r.generation));
  WEIR_TRY(check_response_format(f));
  WEIR_TRY(parse_tools(f, r));
  if (const Json* kwargs = f.find("chat_template_kwargs"); kwargs != nullptr) {
    if (!kwargs->is_object()) return wrong_type("chat_template_kwargs", "an object", *kwargs);
    r.template_kwargs = *kwargs;
  }
  WEIR_ASSIGN(const auto prompt, f.boolean("add_generation_prompt"));
  r.add_generation_prompt = prompt.value_or(true);
  WEIR_ASSIGN(const auto goes_on, f.boolean("continue_final_message"));
  if (goes_on.value_or(false)) {
    if (prompt.value_or(false)) {
      return param_error(ErrorCode::kInvalidValue, "continue_final_message",
                         "continue_final_message and add_generation_prompt exclude each other");
    }
    WEIR_ASSIGN(r.begun, take_begun(r.messages));
  }
  f.find("parallel_tool_calls");
  f.find("reasoning_effort");
  WEIR_TRY(f.finish(limits.strict));
  return r;
}

}  // namespace weir::api
