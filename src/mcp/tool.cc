#include "mcp/tool.h"

#include <algorithm>
#include <optional>

namespace weir::mcp {
namespace {

using text::Json;
using Kind = ToolParameter::Kind;
constexpr size_t kMaxValues = 1000;  // of a list
// What a system takes: a word has less than 128 KiB, all of them and the environment 2 MiB.
constexpr size_t kMaxWordBytes = 100'000;
constexpr size_t kMaxLineBytes = 1'000'000;

std::string_view type_name(Kind kind) {
  switch (kind) {
    case Kind::kSwitch:
      return "boolean";
    case Kind::kInteger:
      return "integer";
    case Kind::kNumber:
      return "number";
    case Kind::kString:
      return "string";
  }
  return "";
}

Json value_schema(const ToolParameter& p) {
  Json j = Json::object();
  j.set("type", type_name(p.kind));
  if (p.choices.empty()) return j;
  Json choices = Json::array();
  for (const std::string& choice : p.choices) choices.push_back(choice);
  j.set("enum", std::move(choices));
  return j;
}

Json parameter_schema(const ToolParameter& p) {
  Json j = value_schema(p);
  if (p.list) {
    Json list = Json::object();
    list.set("type", "array");
    list.set("items", std::move(j));
    j = std::move(list);
  }
  std::string said = p.description;
  if (!p.default_text.empty()) said += " (default " + p.default_text + ")";
  if (!said.empty()) j.set("description", said);
  return j;
}

Error wrong(const ToolParameter& p, std::string_view what) {
  return make_error(ErrorCode::kInvalidValue, "{} must be {}", p.name, what);
}

// A value as a word of the command line.
Result<std::string> word(const ToolParameter& p, const Json& value) {
  if (p.kind == Kind::kInteger) {
    if (value.is_int()) return std::to_string(value.as_int());
    return wrong(p, "an integer");
  }
  if (p.kind == Kind::kNumber) {
    if (value.is_int()) return std::to_string(value.as_int());
    if (value.is_double()) return text::json_number(value.as_double());
    return wrong(p, "a number");
  }
  if (!value.is_string()) return wrong(p, "a string");
  const std::string& s = value.as_string();
  if (s.find('\0') != std::string::npos) return wrong(p, "text without a zero byte");
  if (s.size() > kMaxWordBytes) return wrong(p, fmt::format("at most {} bytes", kMaxWordBytes));
  if (!p.choices.empty() && std::find(p.choices.begin(), p.choices.end(), s) == p.choices.end())
    return wrong(p, fmt::format("one of {}", fmt::join(p.choices, ", ")));
  return s;
}

Result<std::vector<std::string>> words(const ToolParameter& p, const Json& value) {
  std::vector<std::string> out;
  if (!p.list || !value.is_array()) {  // one value stands for a list of it
    WEIR_ASSIGN(std::string one, word(p, value));
    out.push_back(std::move(one));
    return out;
  }
  if (value.size() > kMaxValues) return wrong(p, fmt::format("at most {} values", kMaxValues));
  out.reserve(value.size());
  for (const Json& item : value.items()) {
    WEIR_ASSIGN(std::string one, word(p, item));
    out.push_back(std::move(one));
  }
  return out;
}

void append_flag(const ToolParameter& p, std::string value, std::vector<std::string>& line) {
  if (p.flag.starts_with("--") && !value.empty()) {
    line.push_back(p.flag + "=" + value);
    return;
  }
  line.push_back(p.flag);
  line.push_back(std::move(value));
}

Status check_names(const Tool& tool, const Json& arguments) {
  for (const auto& [name, value] : arguments.members()) {
    const bool known =
        std::any_of(tool.parameters.begin(), tool.parameters.end(),
                    [&name = name](const ToolParameter& p) { return p.name == name; });
    if (known) continue;
    std::vector<std::string> names;
    names.reserve(tool.parameters.size());
    for (const ToolParameter& p : tool.parameters) names.push_back(p.name);
    return make_error(ErrorCode::kInvalidValue, "{} has no parameter \"{}\"; there are {}",
                      tool.name, name, fmt::join(names, ", "));
  }
  return {};
}

bool given(const Json& arguments, std::string_view name) {
  const Json* value = arguments.find(name);
  return value != nullptr && !value->is_null() && !(value->is_bool() && !value->as_bool());
}

}  // namespace

Json input_schema(const Tool& tool) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const ToolParameter& p : tool.parameters) {
    properties.set(p.name, parameter_schema(p));
    if (p.required) required.push_back(p.name);
  }
  Json j = Json::object();
  j.set("type", "object");
  j.set("properties", std::move(properties));
  if (required.size() > 0) j.set("required", std::move(required));
  j.set("additionalProperties", false);
  return j;
}

Result<std::vector<std::string>> command_line(const Tool& tool, const Json& arguments) {
  const Json none = Json::object();
  const Json& args = arguments.is_null() ? none : arguments;
  if (!args.is_object()) return make_error(ErrorCode::kInvalidValue, "arguments must be an object");
  WEIR_TRY(check_names(tool, args));
  std::vector<std::string> line = tool.command;
  std::vector<std::string> last;
  for (const ToolParameter& p : tool.parameters) {
    const Json* value = args.find(p.name);
    if (value == nullptr || value->is_null()) {
      if (p.required) return make_error(ErrorCode::kInvalidValue, "{} is missing", p.name);
      continue;
    }
    if (p.kind == Kind::kSwitch) {
      if (!value->is_bool()) return wrong(p, "true or false");
      if (value->as_bool()) line.push_back(p.flag);
      continue;
    }
    WEIR_ASSIGN(const std::vector<std::string> all, words(p, *value));
    for (const std::string& one : all) {
      if (p.flag.empty()) {
        last.push_back(one);
      } else {
        append_flag(p, one, line);
      }
    }
  }
  for (const auto& [name, words] : tool.defaults) {
    if (const Json* value = args.find(name); value == nullptr || value->is_null())
      line.push_back(words);
  }
  const bool json =
      tool.json && std::none_of(tool.json_excludes.begin(), tool.json_excludes.end(),
                                [&](const std::string& name) { return given(args, name); });
  if (json) line.emplace_back("--json");
  if (!last.empty()) {
    line.emplace_back("--");
    line.insert(line.end(), last.begin(), last.end());
  }
  size_t bytes = 0;
  for (const std::string& one : line) bytes += one.size() + 1;
  if (bytes <= kMaxLineBytes) return line;
  return make_error(ErrorCode::kInvalidValue, "arguments take {} bytes, over the {} of a command",
                    bytes, kMaxLineBytes);
}

}  // namespace weir::mcp
