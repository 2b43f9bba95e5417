#include "text/jinja/json_value.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/ops.h"

namespace weir::text::jinja {
namespace {

// Names that templates turn into control tokens, such as <|assistant|>.
bool is_role_name(std::string_view s) {
  constexpr std::string_view kRoles[] = {"system", "developer", "user",       "assistant",
                                         "tool",   "function",  "ipython",    "model",
                                         "human",  "bot",       "observation"};
  return std::find(std::begin(kRoles), std::end(kRoles), s) != std::end(kRoles);
}

Result<Value> from_object(Runtime& rt, const Json::Object& members, bool user) {
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(members.size());
  for (const auto& [name, json] : members) {
    WEIR_ASSIGN(Value key, rt.text(Text(name, user)));
    const bool role = name == "role" && json.is_string() && is_role_name(json.as_string());
    WEIR_ASSIGN(Value value, from_json(rt, json, user && !role));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return rt.dict(std::move(entries));
}

class Writer {
 public:
  Writer(Runtime& rt, const ToJson& options) : rt_(rt), options_(options) {}

  Status value(const Value& v, int level) {
    const Runtime::Deeper deeper(rt_);
    WEIR_TRY(deeper.check());
    WEIR_TRY(rt_.charge(1));
    WEIR_TRY(rt_.check_text(out.size()));
    switch (v.kind()) {
      case Kind::kNone:
        out.append("null");
        return {};
      case Kind::kBool:
        out.append(v.as_bool() ? "true" : "false");
        return {};
      case Kind::kInt:
        out.append(fmt::format("{}", v.as_int()));
        return {};
      case Kind::kFloat:
        out.append(real(v.as_real()));
        return {};
      case Kind::kString:
        return string(v.text());
      case Kind::kList:
      case Kind::kTuple:
        return items(v.items(), level);
      case Kind::kDict:
        return entries(v.dict().entries, level);
      default:
        return rt_.fail("{} is not JSON serializable{}", type_name(v),
                        v.is_undefined() && v.string_ptr() ? " (" + v.bytes() + ")" : "");
    }
  }

  Text out;

 private:
  static std::string real(double v) {
    if (std::isnan(v)) return "NaN";
    if (std::isinf(v)) return v < 0 ? "-Infinity" : "Infinity";
    return json_number(v);
  }

  void line(int level) {
    if (options_.indent < 0) return;
    out.append("\n");
    out.append(std::string(static_cast<size_t>(options_.indent) * static_cast<size_t>(level), ' '));
  }

  Status string(const Text& text) {
    WEIR_TRY(rt_.charge_text(text.size()));
    out.append("\"");
    size_t begin = 0;
    for (const Text::Run& run : text.runs()) {
      const std::string quoted = json_quote(
          std::string_view(text.bytes()).substr(begin, run.end - begin), options_.ensure_ascii);
      out.append(std::string_view(quoted).substr(1, quoted.size() - 2), run.user);
      begin = run.end;
    }
    out.append("\"");
    return {};
  }

  Status items(const std::vector<Value>& list, int level) {
    if (list.empty()) {
      out.append("[]");
      return {};
    }
    out.append("[");
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) out.append(options_.item_separator);
      line(level + 1);
      WEIR_TRY(value(list[i], level + 1));
    }
    line(level);
    out.append("]");
    return {};
  }

  Result<Text> key(const Value& v) {
    if (v.is_string()) return v.text();
    if (v.is(Kind::kBool)) return Text(v.as_bool() ? "true" : "false");
    if (v.is(Kind::kNone)) return Text("null");
    if (v.is_number()) return to_text(rt_, v);
    return rt_.fail("keys must be str, int, float, bool or None, not {}", type_name(v));
  }

  Status entries(const std::vector<std::pair<Value, Value>>& dict, int level) {
    if (dict.empty()) {
      out.append("{}");
      return {};
    }
    std::vector<std::pair<Text, const Value*>> members;
    members.reserve(dict.size());
    for (const auto& [name, member] : dict) {
      WEIR_ASSIGN(Text text, key(name));
      members.emplace_back(std::move(text), &member);
    }
    if (options_.sort_keys) {
      std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
        return a.first.bytes() < b.first.bytes();
      });
    }
    out.append("{");
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out.append(options_.item_separator);
      line(level + 1);
      WEIR_TRY(string(members[i].first));
      out.append(options_.key_separator);
      WEIR_TRY(value(*members[i].second, level + 1));
    }
    line(level);
    out.append("}");
    return {};
  }

  Runtime& rt_;
  const ToJson& options_;
};

}  // namespace

Result<Value> from_json(Runtime& rt, const Json& json, bool user) {
  const Runtime::Deeper deeper(rt);
  WEIR_TRY(deeper.check());
  if (json.is_null()) return Value::none();
  if (json.is_bool()) return Value::boolean(json.as_bool());
  if (json.is_int()) return Value::integer(json.as_int());
  if (json.is_double()) return Value::real(json.as_double());
  if (json.is_string()) return rt.text(Text(json.as_string(), user));
  if (json.is_object()) return from_object(rt, json.members(), user);
  std::vector<Value> items;
  items.reserve(json.items().size());
  for (const Json& item : json.items()) {
    WEIR_ASSIGN(Value v, from_json(rt, item, user));
    items.push_back(std::move(v));
  }
  return rt.list(std::move(items));
}

Result<Text> to_json(Runtime& rt, const Value& v, const ToJson& options) {
  Writer writer(rt, options);
  WEIR_TRY(writer.value(v, 0));
  return std::move(writer.out);
}

}  // namespace weir::text::jinja
