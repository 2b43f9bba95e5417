#include "ops/eval/tool_calls.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "ops/eval/answer_json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kMistral = "[TOOL_CALLS]";
constexpr size_t kMaxCalls = 64;

void add_call(const Json& json, std::vector<ToolCall>& calls) {
  if (json.is_array()) {
    for (const Json& one : json.items()) {
      if (one.is_object()) add_call(one, calls);
    }
    return;
  }
  const Json* inner = json.find("function");  // {"type": "function", "function": {…}}
  const Json& call = inner != nullptr && inner->is_object() ? *inner : json;
  const Json* name = call.find("name");
  const Json* arguments = call.find("arguments");
  if (arguments == nullptr) arguments = call.find("parameters");
  if (name == nullptr || !name->is_string() || calls.size() >= kMaxCalls) return;
  ToolCall out{name->as_string(), Json::object()};
  if (arguments != nullptr && arguments->is_object()) out.arguments = *arguments;
  if (arguments != nullptr && arguments->is_string()) {  // JSON in a text, as the API has it
    auto parsed = Json::parse(arguments->as_string(), {.max_values = kMaxAnswerValues});
    if (parsed.ok() && parsed->is_object()) out.arguments = std::move(*parsed);
  }
  calls.push_back(std::move(out));
}

void add_text(std::string_view text, std::vector<ToolCall>& calls) {
  if (const std::optional<Json> json = answer_json(text)) add_call(*json, calls);
}

std::string standardized(std::string_view s) {
  std::string out;
  for (const char c : s) {
    if (std::string_view(" ,./-_*^").find(c) != std::string_view::npos) continue;
    out += c == '\'' ? '"' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

bool value_matches(const Json& right, const Json& got);

// got holds each member that must be there, with one of its right values, and no other.
bool members_match(const Json& right, const Json& got) {
  for (const auto& [name, value] : got.members()) {
    const Json* accepted = right.find(name);
    if (accepted == nullptr || !accepted->is_array()) return false;
    if (std::none_of(accepted->items().begin(), accepted->items().end(),
                     [&value = value](const Json& one) { return value_matches(one, value); }))
      return false;
  }
  return std::all_of(right.members().begin(), right.members().end(), [&got](const auto& member) {
    if (got.find(member.first) != nullptr) return true;
    const auto& accepted = member.second.items();
    return std::find(accepted.begin(), accepted.end(), Json("")) != accepted.end();
  });
}

bool value_matches(const Json& right, const Json& got) {
  if (right.is_number() && got.is_number()) return right.as_double() == got.as_double();
  if (right.is_string() && got.is_string())
    return standardized(right.as_string()) == standardized(got.as_string());
  if (right.is_array() && got.is_array()) {
    return std::equal(right.items().begin(), right.items().end(), got.items().begin(),
                      got.items().end(), value_matches);
  }
  if (right.is_object() && got.is_object()) return members_match(right, got);
  return right == got;
}

bool call_matches(const Json& right, const ToolCall& call) {
  const auto& [name, arguments] = right.members().front();
  return name == call.name && members_match(arguments, call.arguments);
}

// Every object's members as lists of their one right value.
Json accepting(const Json& value) {
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& one : value.items()) out.push_back(accepting(one));
    return out;
  }
  if (!value.is_object()) return value;
  Json out = Json::object();
  for (const auto& [name, inner] : value.members()) {
    Json list = Json::array();
    list.push_back(accepting(inner));
    out.set(name, std::move(list));
  }
  return out;
}

std::string json_type(const std::string& type) {
  if (type == "dict") return "object";
  if (type == "float" || type == "double") return "number";
  if (type == "tuple" || type == "ArrayList" || type == "Array") return "array";
  if (type == "String" || type == "char") return "string";
  if (type == "Boolean") return "boolean";
  return type;
}

Json schema_of_bfcl(const Json& schema) {
  if (schema.is_array()) {
    Json out = Json::array();
    for (const Json& one : schema.items()) out.push_back(schema_of_bfcl(one));
    return out;
  }
  if (!schema.is_object()) return schema;
  Json out = Json::object();
  for (const auto& [key, value] : schema.members()) {
    const bool type = key == "type" && value.is_string();
    if (type && value.as_string() == "any") continue;
    out.set(key, type ? Json(json_type(value.as_string())) : schema_of_bfcl(value));
  }
  return out;
}

}  // namespace

std::vector<ToolCall> parse_tool_calls(std::string_view answer) {
  std::vector<ToolCall> calls;
  if (answer.find(kOpen) != std::string_view::npos) {
    while (true) {
      const size_t begin = answer.find(kOpen);
      if (begin == std::string_view::npos) return calls;
      answer.remove_prefix(begin + kOpen.size());
      const size_t end = std::min(answer.find(kClose), answer.size());
      add_text(answer.substr(0, end), calls);
      answer.remove_prefix(end);
    }
  }
  const size_t mistral = answer.find(kMistral);
  add_text(mistral == std::string_view::npos ? answer : answer.substr(mistral + kMistral.size()),
           calls);
  return calls;
}

bool calls_match(const Json& expected, const std::vector<ToolCall>& calls) {
  if (expected.size() != calls.size()) return false;
  std::vector<bool> taken(calls.size(), false);
  for (const Json& right : expected.items()) {
    bool found = false;
    for (size_t i = 0; i < calls.size() && !found; ++i) {
      found = !taken[i] && call_matches(right, calls[i]);
      if (found) taken[i] = true;
    }
    if (!found) return false;
  }
  return true;
}

Result<Json> expected_calls(const Json& answer) {
  Json out = Json::array();
  if (answer.is_null()) return out;
  Json one = Json::array();
  if (!answer.is_array()) one.push_back(answer);
  for (const Json& call : answer.is_array() ? answer.items() : one.items()) {
    const Json* name = call.find("name");
    const Json* arguments = call.find("arguments");
    if (name == nullptr || !name->is_string() || arguments == nullptr || !arguments->is_object()) {
      return make_error(ErrorCode::kInvalidValue,
                        "answer must be null, a call {{\"name\": …, \"arguments\": {{…}}}} or a "
                        "list of them");
    }
    Json right = Json::object();
    right.set(name->as_string(), accepting(*arguments));
    out.push_back(std::move(right));
  }
  return out;
}

Status check_expected_calls(const Json& expected) {
  const auto good = [](const Json& call) {
    if (!call.is_object() || call.size() != 1 || !call.members().front().second.is_object())
      return false;
    const auto& arguments = call.members().front().second.members();
    return std::all_of(arguments.begin(), arguments.end(),
                       [](const auto& argument) { return argument.second.is_array(); });
  };
  if (expected.is_array() && std::all_of(expected.items().begin(), expected.items().end(), good))
    return {};
  return make_error(ErrorCode::kInvalidValue,
                    "ground_truth must be a list of {{name: {{argument: [right values]}}}}");
}

Json tools_of_bfcl(const Json& functions) {
  Json tools = Json::array();
  for (const Json& function : functions.items()) {
    Json tool = Json::object();
    tool.set("type", "function");
    tool.set("function", schema_of_bfcl(function));
    tools.push_back(std::move(tool));
  }
  return tools;
}

std::string tool_instruction(const Json& tools) {
  std::string text = "You may call these functions, given as JSON:\n<tools>\n";
  for (const Json& tool : tools.items()) text += tool.dump() + "\n";
  return text +
         "</tools>\nFor each call answer with its name and arguments as JSON, and nothing else:\n"
         "<tool_call>\n{\"name\": …, \"arguments\": {…}}\n</tool_call>\n"
         "If no function fits, answer without a call.";
}

}  // namespace weir::ops
