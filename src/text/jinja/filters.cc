#include "text/jinja/filters.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "text/jinja/json_value.h"
#include "text/jinja/methods.h"
#include "text/jinja/names.h"
#include "text/jinja/ops.h"
#include "text/jinja/printf.h"
#include "text/jinja/unicode.h"

namespace weir::text::jinja {
namespace {

const FilterEntry* find_filter(std::string_view name) {
  for (const FilterEntry* table : {value_filters(), sequence_filters()}) {
    for (const FilterEntry* e = table; !e->name.empty(); ++e) {
      if (e->name == name) return e;
    }
  }
  return nullptr;
}

// The operand as a string value.
Result<Value> as_string(const FilterCall& c) {
  if (c.operand().is_string()) return c.operand();
  WEIR_ASSIGN(Text text, to_text(c.rt, c.operand()));
  return c.rt.text(std::move(text));
}

// Filters that are a method of str by the same name.
Result<Value> by_method(const FilterCall& c) {
  WEIR_ASSIGN(const Value self, as_string(c));
  return call_string_method(c.rt, self, c.name == "trim" ? "strip" : c.name, c.args, 1);
}

Result<Value> title(const FilterCall& c) {
  WEIR_ASSIGN(const Value self, as_string(c));
  return c.rt.text(title_words(self.text()), self.markup());
}

Result<Value> replace(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"old", "new", "count"}));
  WEIR_ASSIGN(const Value self, as_string(c));
  return call_string_method(c.rt, self, "replace", c.args, 1);
}

Result<Value> string(const FilterCall& c) { return as_string(c); }

Result<Value> safe(const FilterCall& c) {
  WEIR_ASSIGN(Text text, to_text(c.rt, c.operand()));
  return c.rt.text(std::move(text), true);
}

Result<Value> escape(const FilterCall& c) {
  if (is_markup(c.operand()) && c.name != "forceescape") return c.operand();
  WEIR_ASSIGN(const Text text, to_text(c.rt, c.operand()));
  WEIR_TRY(c.rt.check_text(text.size() * 5));
  return c.rt.text(escape_html(text), true);
}

Result<Value> tojson(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"ensure_ascii", "indent", "separators", "sort_keys"}));
  // Jinja's own tojson has the indent first.
  const bool indent_first = a.get(0) != nullptr && a.get(0)->is(Kind::kInt);
  ToJson options;
  WEIR_ASSIGN(options.ensure_ascii, a.boolean(0, false));
  if (indent_first) options.ensure_ascii = false;
  WEIR_ASSIGN(options.sort_keys, a.boolean(3, false));
  const Value* indent = a.get(indent_first ? 0 : 1);
  if (indent != nullptr && !indent->is(Kind::kNone)) {
    WEIR_ASSIGN(const int64_t spaces, a.integer(indent_first ? 0 : 1, 0));
    options.indent = static_cast<int>(std::clamp<int64_t>(spaces, 0, 1000));
    options.item_separator = ",";
  }
  if (const Value* s = a.get(2); s != nullptr && !s->is(Kind::kNone)) {
    if (!s->holds_list() || s->items().size() != 2 || !s->items()[0].is_string() ||
        !s->items()[1].is_string()) {
      return c.rt.fail("tojson() needs two strings as separators");
    }
    options.item_separator = s->items()[0].bytes();
    options.key_separator = s->items()[1].bytes();
  }
  WEIR_ASSIGN(Text text, to_json(c.rt, c.operand(), options));
  return c.rt.text(std::move(text));
}

// Not in Jinja; templates for tool calls use it on arguments that came as text.
Result<Value> fromjson(const FilterCall& c) {
  if (!c.operand().is_string()) return c.rt.fail("{}() needs a string", c.name);
  auto json = Json::parse(c.operand().bytes());
  if (!json.ok()) return c.rt.fail("{}(): {}", c.name, json.error().message);
  return from_json(c.rt, *json, c.operand().text().any_user());
}

Result<Value> default_filter(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"default_value", "boolean"}));
  WEIR_ASSIGN(const bool boolean, a.boolean(1, false));
  if (!c.operand().is_undefined() && !(boolean && !truthy(c.operand()))) return c.operand();
  if (a.get(0) != nullptr) return *a.get(0);
  return c.rt.text(Text());
}

Result<Value> absolute(const FilterCall& c) {
  const Value& v = c.operand();
  if (v.is_integral() && v.as_int() >= 0) return Value::integer(v.as_int());
  if (v.is(Kind::kFloat)) return Value::real(std::fabs(v.as_real()));
  return negate(c.rt, v);
}

std::optional<int64_t> parse_integer(std::string_view s, int base) {
  s.remove_prefix(leading_space(s));
  s.remove_suffix(trailing_space(s));
  const bool minus = !s.empty() && s[0] == '-';
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  if (s.size() > 2 && s[0] == '0') {
    const char mark = static_cast<char>(s[1] | 0x20);
    if ((mark == 'x' && base == 16) || (mark == 'o' && base == 8) || (mark == 'b' && base == 2)) {
      s.remove_prefix(2);
    }
  }
  const std::string digits = (minus ? "-" : "") + std::string(s);
  int64_t value = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (s.empty() || s[0] == '-' || ec != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> parse_real(std::string_view s) {
  s.remove_prefix(leading_space(s));
  s.remove_suffix(trailing_space(s));
  if (!s.empty() && s[0] == '+') s.remove_prefix(1);
  double value = 0;
  const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (s.empty() || ec != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return value;
}

Result<Value> integer(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"default", "base"}));
  const Value fallback = a.get(0) != nullptr ? *a.get(0) : Value::integer(0);
  WEIR_ASSIGN(const int64_t base, a.integer(1, 10));
  if (base < 2 || base > 36) return c.rt.fail("int() needs a base from 2 to 36");
  const Value& v = c.operand();
  if (v.is_integral()) return Value::integer(v.as_int());
  std::optional<double> real;
  if (v.is(Kind::kFloat)) real = v.as_real();
  if (v.is_string()) {
    if (const auto i = parse_integer(v.bytes(), static_cast<int>(base))) return Value::integer(*i);
    real = parse_real(v.bytes());
  }
  if (!real || !(std::fabs(*real) < 9.2e18)) return fallback;
  return Value::integer(static_cast<int64_t>(*real));
}

Result<Value> real(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"default"}));
  const Value& v = c.operand();
  if (v.is_number()) return Value::real(v.as_real());
  const auto parsed = v.is_string() ? parse_real(v.bytes()) : std::nullopt;
  if (parsed) return Value::real(*parsed);
  return a.get(0) != nullptr ? *a.get(0) : Value::real(0);
}

Result<Value> round_filter(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"precision", "method"}));
  const Value& v = c.operand();
  if (v.is_undefined()) return c.rt.undefined_error(v);
  if (!v.is_number()) return c.rt.fail("round() needs a number, not {}", type_name(v));
  WEIR_ASSIGN(const int64_t precision, a.integer(0, 0));
  const std::string method =
      a.get(1) != nullptr && a.get(1)->is_string() ? a.get(1)->bytes() : "common";
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::real(std::ceil(v.as_real() * scale) / scale);
  if (method == "floor") return Value::real(std::floor(v.as_real() * scale) / scale);
  if (method != "common") return c.rt.fail("round() knows the methods common, ceil and floor");
  if (v.is_integral() && precision >= 0) return Value::integer(v.as_int());
  if (precision < 0 || precision > 300 || !std::isfinite(v.as_real())) {
    return Value::real(std::nearbyint(v.as_real() * scale) / scale);
  }
  const std::string text = fmt::format("{:.{}f}", v.as_real(), static_cast<int>(precision));
  return Value::real(parse_real(text).value_or(v.as_real()));
}

Result<Value> format(const FilterCall& c) {
  WEIR_ASSIGN(const Value self, as_string(c));
  const std::vector<Value> rest(c.args.positional.begin() + 1, c.args.positional.end());
  if (c.args.named.empty()) {
    WEIR_ASSIGN(const Value values, c.rt.list(rest, Kind::kTuple));
    return printf_format(c.rt, self, values);
  }
  if (!rest.empty()) {
    return c.rt.fail("format() takes positional or named arguments, not both");
  }
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, value] : c.args.named) {
    WEIR_ASSIGN(Value key, c.rt.text(name));
    entries.emplace_back(std::move(key), value);
  }
  WEIR_ASSIGN(const Value values, c.rt.dict(std::move(entries)));
  return printf_format(c.rt, self, values);
}

Result<Value> indent(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"width", "first", "blank"}));
  WEIR_ASSIGN(const Value self, as_string(c));
  Text margin;
  if (a.get(0) != nullptr && a.get(0)->is_string()) {
    margin = a.get(0)->text();
  } else {
    WEIR_ASSIGN(const int64_t width, a.integer(0, 4));
    margin = Text(std::string(static_cast<size_t>(std::clamp<int64_t>(width, 0, 10000)), ' '));
  }
  WEIR_ASSIGN(const bool first, a.boolean(1, false));
  WEIR_ASSIGN(const bool blank, a.boolean(2, false));
  WEIR_ASSIGN(const Value lines, call_string_method(c.rt, self, "splitlines", {}));
  std::vector<Value> all = lines.items();
  // Python appends a line end before it splits, so that a last empty line counts.
  const std::string& s = self.bytes();
  if (s.empty() || s.back() == '\n' || s.back() == '\r') {
    WEIR_ASSIGN(Value empty, c.rt.text(Text()));
    all.push_back(std::move(empty));
  }
  Text out;
  for (size_t i = 0; i < all.size(); ++i) {
    const Text& line = all[i].text();
    WEIR_TRY(c.rt.check_text(out.size() + margin.size() + line.size() + 1));
    if (i > 0) out.append("\n");
    if (i == 0 ? first : blank || !line.empty()) out.append(margin);
    out.append(line);
  }
  return c.rt.text(std::move(out), self.markup());
}

Result<Value> truncate(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"length", "killwords", "end", "leeway"}));
  WEIR_ASSIGN(const Value self, as_string(c));
  WEIR_ASSIGN(const int64_t length, a.integer(0, 255));
  WEIR_ASSIGN(const bool kill, a.boolean(1, false));
  Text end("...");
  if (a.get(2) != nullptr) {
    WEIR_ASSIGN(end, to_text(c.rt, *a.get(2)));
  }
  WEIR_ASSIGN(const int64_t leeway, a.integer(3, 5));
  const auto kept = length - static_cast<int64_t>(count_chars(end.bytes()));
  if (kept < 0 || leeway < 0) return c.rt.fail("truncate() needs a longer length");
  if (static_cast<int64_t>(count_chars(self.bytes())) <= length + leeway) return self;
  Text out = self.text().sub(0, char_offset(self.bytes(), static_cast<size_t>(kept)));
  if (!kill) {
    if (const size_t space = out.bytes().rfind(' '); space != std::string::npos) {
      out = out.sub(0, space);
    }
  }
  out.append(end);
  return c.rt.text(std::move(out), self.markup());
}

Result<Value> wordcount(const FilterCall& c) {
  WEIR_ASSIGN(const Value self, as_string(c));
  int64_t words = 0;
  bool inside = false;
  for (const char ch : self.bytes()) {
    const auto u = static_cast<unsigned char>(ch);
    const bool word = u >= 0x80 || ch == '_' || std::isalnum(u) != 0;
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(words);
}

Result<Value> urlencode(const FilterCall& c) {
  WEIR_ASSIGN(const Text text, to_text(c.rt, c.operand()));
  std::string out;
  for (const char ch : text.bytes()) {
    const auto u = static_cast<unsigned char>(ch);
    if (u < 0x80 &&
        (std::isalnum(u) != 0 || std::string_view("_.-~/").find(ch) != std::string::npos)) {
      out += ch;
    } else {
      out += fmt::format("%{:02X}", u);
    }
  }
  return c.rt.text(Text(std::move(out), text.any_user()));
}

Result<Value> attribute(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"name"}));
  WEIR_ASSIGN(const Value name, a.required(0, "name"));
  if (c.operand().is_dict() && name.is_string() && !has_method(Kind::kDict, name.bytes())) {
    return c.rt.undefined(fmt::format("'dict object' has no attribute '{}'", name.bytes()));
  }
  WEIR_ASSIGN(const Text text, to_text(c.rt, name));
  return get_attribute(c.rt, c.operand(), text.bytes());
}

constexpr FilterEntry kValueFilters[] = {{"abs", absolute},
                                         {"attr", attribute},
                                         {"capitalize", by_method},
                                         {"center", by_method},
                                         {"d", default_filter},
                                         {"default", default_filter},
                                         {"e", escape},
                                         {"escape", escape},
                                         {"float", real},
                                         {"forceescape", escape},
                                         {"format", format},
                                         {"from_json", fromjson},
                                         {"fromjson", fromjson},
                                         {"indent", indent},
                                         {"int", integer},
                                         {"lower", by_method},
                                         {"replace", replace},
                                         {"round", round_filter},
                                         {"safe", safe},
                                         {"string", string},
                                         {"title", title},
                                         {"tojson", tojson},
                                         {"trim", by_method},
                                         {"truncate", truncate},
                                         {"upper", by_method},
                                         {"urlencode", urlencode},
                                         {"wordcount", wordcount},
                                         {"", nullptr}};

}  // namespace

const FilterEntry* value_filters() { return kValueFilters; }

bool is_filter(std::string_view name) { return find_filter(name) != nullptr; }

Result<Value> apply_filter(Runtime& rt, std::string_view name, const Args& args) {
  const Runtime::Deeper deeper(rt);
  WEIR_TRY(deeper.check());
  WEIR_TRY(rt.charge(1));
  const FilterEntry* entry = find_filter(name);
  if (entry == nullptr) {
    return rt.at_line(ErrorCode::kUnsupported, fmt::format("unknown filter '{}'", name));
  }
  return entry->apply(FilterCall{rt, args, name});
}

}  // namespace weir::text::jinja
