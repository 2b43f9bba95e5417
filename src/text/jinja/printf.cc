#include "text/jinja/printf.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"

namespace weir::text::jinja {
namespace {

struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  bool zero = false;
  bool comma = false;
  int64_t width = 0;
  int precision = -1;
  char type = 0;
};

constexpr int64_t kMaxWidth = 1 << 20;
constexpr int kMaxPrecision = 200;

bool digit(char c) { return c >= '0' && c <= '9'; }

// The decimal number at s[at], at most kMaxWidth; nothing when there is none.
std::optional<int64_t> number(std::string_view s, size_t& at) {
  const size_t begin = at;
  int64_t value = 0;
  for (; at < s.size() && digit(s[at]); ++at) {
    value = std::min(value * 10 + (s[at] - '0'), kMaxWidth);
  }
  return at > begin ? std::optional(value) : std::nullopt;
}

Text pad(const Text& body, const Spec& spec, char default_align) {
  const auto have = static_cast<int64_t>(count_chars(body.bytes()));
  if (have >= spec.width) return body;
  const auto missing = static_cast<size_t>(spec.width - have);
  const char align = spec.align != 0 ? spec.align : default_align;
  const size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  Text out;
  size_t sign = 0;
  if (align == '=' && !body.empty() && (body.bytes()[0] == '-' || body.bytes()[0] == '+')) sign = 1;
  out.append(body, 0, sign);
  for (size_t i = 0; i < left; ++i) out.append(spec.fill);
  out.append(body, sign, body.size());
  for (size_t i = left; i < missing; ++i) out.append(spec.fill);
  return out;
}

std::string with_commas(std::string digits) {
  const size_t begin = !digits.empty() && (digits[0] == '-' || digits[0] == '+') ? 1 : 0;
  size_t end = digits.find('.');
  if (end == std::string::npos) end = digits.size();
  for (size_t at = end; at > begin + 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string signed_text(std::string text, char sign) {
  if (sign != '-' && text[0] != '-') text.insert(text.begin(), sign);
  return text;
}

std::string real_digits(double v, int precision, char type) {
  switch (type) {
    case 'e':
      return fmt::format("{:.{}e}", v, precision);
    case 'E':
      return fmt::format("{:.{}E}", v, precision);
    case 'g':
      return fmt::format("{:.{}g}", v, precision);
    case 'G':
      return fmt::format("{:.{}G}", v, precision);
    default:
      return fmt::format("{:.{}f}", v, precision);
  }
}

std::string integer_digits(int64_t v, const Spec& spec) {
  switch (spec.type) {
    case 'x':
      return spec.alternate ? fmt::format("{:#x}", v) : fmt::format("{:x}", v);
    case 'X':
      return spec.alternate ? fmt::format("{:#X}", v) : fmt::format("{:X}", v);
    case 'o':
      return v < 0 ? "-" + fmt::format("{:o}", -v) : fmt::format("{:o}", v);
    case 'b':
      return fmt::format("{:b}", v);
    default:
      return fmt::format("{}", v);
  }
}

bool real_type(char c) {
  return c == 'f' || c == 'F' || c == 'e' || c == 'E' || c == 'g' || c == 'G';
}

// A number as the spec asks; error for types that do not take numbers.
Result<Text> format_number(Runtime& rt, const Value& v, Spec spec) {
  std::string text;
  if (spec.type == '%') {
    text = fmt::format("{:.{}f}%", v.as_real() * 100, spec.precision < 0 ? 6 : spec.precision);
  } else if (real_type(spec.type) || v.is(Kind::kFloat)) {
    if (!real_type(spec.type) && spec.type != 0) {
      return rt.fail("the format '{}' does not take a float", spec.type);
    }
    if (spec.type == 0 && spec.precision < 0) {
      WEIR_ASSIGN(const Text plain, to_text(rt, v));
      text = plain.bytes();
    } else {
      text = real_digits(v.as_real(), spec.precision < 0 ? 6 : spec.precision,
                         spec.type == 0 ? 'g' : spec.type);
    }
  } else {
    text = integer_digits(v.as_int(), spec);
  }
  if (spec.comma) text = with_commas(std::move(text));
  text = signed_text(std::move(text), spec.sign);
  if (spec.zero && spec.align == 0) {
    spec.align = '=';
    spec.fill = "0";
  }
  return pad(Text(text), spec, '>');
}

Text cut(const Text& text, int precision) {
  if (precision < 0) return text;
  return text.sub(0, char_offset(text.bytes(), static_cast<size_t>(precision)));
}

// ---- format % values

class Printf {
 public:
  Printf(Runtime& rt, const Value& format, const Value& arguments)
      : rt_(rt), format_(format), s_(format.bytes()), arguments_(arguments) {}

  Result<Value> run() {
    Text out;
    size_t at = 0;
    while (at < s_.size()) {
      const size_t percent = std::min(s_.find('%', at), s_.size());
      out.append(format_.text(), at, percent);
      if (percent == s_.size()) break;
      at = percent + 1;
      WEIR_ASSIGN(const Text piece, conversion(at));
      WEIR_TRY(rt_.check_text(out.size() + piece.size()));
      out.append(piece);
    }
    const bool list = arguments_.is(Kind::kTuple);
    if (!arguments_.is_dict() && (list ? used_ < arguments_.items().size() : used_ == 0)) {
      return rt_.fail("not all arguments converted during string formatting");
    }
    return rt_.text(std::move(out), format_.markup());
  }

 private:
  Result<Value> take() {
    if (!arguments_.is(Kind::kTuple)) {
      if (used_++ > 0) return rt_.fail("not enough arguments for format string");
      return arguments_;
    }
    if (used_ >= arguments_.items().size()) {
      return rt_.fail("not enough arguments for format string");
    }
    return arguments_.items()[used_++];
  }

  Result<int64_t> star_or_number(size_t& at) {
    if (at < s_.size() && s_[at] == '*') {
      ++at;
      WEIR_ASSIGN(const Value v, take());
      if (!v.is_integral()) return rt_.fail("* wants int");
      return std::clamp(v.as_int(), -kMaxWidth, kMaxWidth);
    }
    return number(s_, at).value_or(-1);
  }

  // What stands after a '%' at s_[at - 1].
  Result<Text> conversion(size_t& at) {
    std::optional<Value> named;
    if (at < s_.size() && s_[at] == '(') {
      const size_t close = s_.find(')', at);
      if (close == std::string::npos) return rt_.fail("incomplete format key");
      WEIR_ASSIGN(Value key, rt_.text(s_.substr(at + 1, close - at - 1)));
      if (!arguments_.is_dict()) return rt_.fail("format requires a mapping");
      const Value* found = find_text_key(arguments_.dict(), key.bytes());
      if (found == nullptr) return rt_.fail("no key '{}' for the format", key.bytes());
      named = *found;
      at = close + 1;
    }
    Spec spec;
    for (; at < s_.size(); ++at) {
      const char c = s_[at];
      if (c == '-') {
        spec.align = '<';
      } else if (c == '0') {
        spec.zero = true;
      } else if (c == '+' || c == ' ') {
        spec.sign = c;
      } else if (c == '#') {
        spec.alternate = true;
      } else {
        break;
      }
    }
    WEIR_ASSIGN(const int64_t width, star_or_number(at));
    if (width < -1) spec.align = '<';
    spec.width = std::abs(width == -1 ? 0 : width);
    if (at < s_.size() && s_[at] == '.') {
      ++at;
      WEIR_ASSIGN(const int64_t precision, star_or_number(at));
      spec.precision = static_cast<int>(std::clamp<int64_t>(precision, 0, kMaxPrecision));
    }
    if (at >= s_.size()) return rt_.fail("incomplete format");
    spec.type = s_[at++];
    if (spec.type == '%') return Text("%");
    if (!named) {
      WEIR_ASSIGN(named, take());
    }
    return convert(*named, spec);
  }

  Result<Text> convert(const Value& v, Spec spec) {
    if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
      WEIR_ASSIGN(const Text text, spec.type == 's' ? to_text(rt_, v) : repr(rt_, v));
      return pad(cut(text, spec.precision), spec, '>');
    }
    if (spec.type == 'c' && v.is_string()) return pad(v.text(), spec, '>');
    if (v.is_undefined()) return rt_.undefined_error(v);
    if (!v.is_number()) return rt_.fail("%{} format: a number is required", spec.type);
    if (real_type(spec.type)) return format_number(rt_, v, spec);
    if (std::string_view("diuxXo").find(spec.type) == std::string_view::npos) {
      return rt_.fail("unsupported format character '{}'", spec.type);
    }
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    if (!v.is(Kind::kFloat)) return format_number(rt_, v, spec);
    if (!(std::fabs(v.as_real()) < 9e18)) return rt_.fail("a float is too large for an integer");
    return format_number(rt_, Value::integer(static_cast<int64_t>(v.as_real())), spec);
  }

  Runtime& rt_;
  const Value& format_;
  const std::string& s_;
  const Value& arguments_;
  size_t used_ = 0;
};

// ---- format.format(values)

enum class Numbering : uint8_t { kNone, kAutomatic, kManual };

class Brace {
 public:
  Brace(Runtime& rt, const Value& format, const Args& args, size_t first)
      : rt_(rt), format_(format), s_(format.bytes()), args_(args), next_(first), first_(first) {}

  Result<Value> run() {
    Text out;
    for (size_t at = 0; at < s_.size();) {
      const size_t brace = std::min(s_.find_first_of("{}", at), s_.size());
      out.append(format_.text(), at, brace);
      if (brace == s_.size()) break;
      at = brace + 1;
      if (at < s_.size() && s_[at] == s_[brace]) {
        out.append(format_.text(), brace, at);
        ++at;
        continue;
      }
      if (s_[brace] == '}') return rt_.fail("single '}}' in format string");
      WEIR_ASSIGN(const Text piece, field(at));
      WEIR_TRY(rt_.check_text(out.size() + piece.size()));
      out.append(piece);
    }
    return rt_.text(std::move(out), format_.markup());
  }

 private:
  // The field after a '{' at s_[at - 1]; moves past its '}'.
  Result<Text> field(size_t& at) {
    const size_t close = s_.find('}', at);
    if (close == std::string::npos) return rt_.fail("expected '}}' before end of string");
    const std::string_view inside = std::string_view(s_).substr(at, close - at);
    at = close + 1;
    if (inside.find('{') != std::string_view::npos) {
      return rt_.fail("nested fields in a format string are not supported");
    }
    const size_t colon = inside.find(':');
    std::string_view name = inside.substr(0, colon);
    char conversion = 0;
    if (const size_t bang = name.find('!'); bang != std::string_view::npos) {
      if (bang + 2 != name.size()) return rt_.fail("bad conversion in a format string");
      conversion = name[bang + 1];
      name = name.substr(0, bang);
    }
    WEIR_ASSIGN(Value v, value(name));
    if (conversion != 0) {
      WEIR_ASSIGN(Text text, conversion == 's' ? to_text(rt_, v) : repr(rt_, v));
      WEIR_ASSIGN(v, rt_.text(std::move(text)));
    }
    Spec spec;
    if (colon != std::string_view::npos) {
      WEIR_ASSIGN(spec, parse_spec(inside.substr(colon + 1)));
    }
    return formatted(v, spec);
  }

  Result<Value> value(std::string_view path) {
    size_t at = std::min(path.find_first_of(".["), path.size());
    WEIR_ASSIGN(Value v, argument(path.substr(0, at)));
    while (at < path.size()) {
      const bool index = path[at] == '[';
      const size_t end =
          index ? path.find(']', at) : std::min(path.find_first_of(".[", at + 1), path.size());
      if (end == std::string_view::npos) return rt_.fail("missing ']' in format string");
      const std::string_view part = path.substr(at + 1, end - at - 1);
      WEIR_ASSIGN(v, index ? item(v, part) : get_attribute(rt_, v, part));
      at = index ? end + 1 : end;
    }
    return v;
  }

  Result<Value> item(const Value& v, std::string_view key) {
    int64_t i = 0;
    const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), i);
    if (ec == std::errc() && end == key.data() + key.size()) {
      return get_item(rt_, v, Value::integer(i));
    }
    WEIR_ASSIGN(const Value text, rt_.text(std::string(key)));
    return get_item(rt_, v, text);
  }

  Result<Value> argument(std::string_view name) {
    size_t at = 0;
    std::optional<int64_t> index;
    if (name.empty()) {
      index = static_cast<int64_t>(next_++ - first_);
    } else if (index = number(name, at); index && at < name.size()) {
      index.reset();
    }
    if (index) {
      const Numbering now = name.empty() ? Numbering::kAutomatic : Numbering::kManual;
      if (numbering_ != Numbering::kNone && numbering_ != now) {
        return rt_.fail("a format string cannot mix {{}} and {{0}}");
      }
      numbering_ = now;
    }
    if (index) {
      const size_t i = first_ + static_cast<size_t>(*index);
      if (i < args_.positional.size()) return args_.positional[i];
      return rt_.fail("index {} out of range for the format's arguments", *index);
    }
    for (const auto& [key, v] : args_.named) {
      if (key == name) return v;
    }
    return rt_.fail("no argument '{}' for the format", name);
  }

  Result<Spec> parse_spec(std::string_view s) {
    Spec spec;
    size_t at = 0;
    const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
    const size_t fill = s.empty() ? 0 : char_offset(s, 1);
    if (fill < s.size() && is_align(s[fill])) {
      spec.fill = std::string(s.substr(0, fill));
      spec.align = s[fill];
      at = fill + 1;
    } else if (!s.empty() && is_align(s[0])) {
      spec.align = s[0];
      at = 1;
    }
    const auto skip = [&](char c) { return at < s.size() && s[at] == c ? (++at, true) : false; };
    if (skip('+')) spec.sign = '+';
    if (skip(' ')) spec.sign = ' ';
    skip('-');
    spec.alternate = skip('#');
    spec.zero = skip('0');
    spec.width = number(s, at).value_or(0);
    spec.comma = skip(',');
    if (skip('.')) {
      const auto precision = number(s, at);
      if (!precision) return rt_.fail("format specifier missing precision");
      spec.precision = static_cast<int>(std::min<int64_t>(*precision, kMaxPrecision));
    }
    if (at < s.size()) spec.type = s[at++];
    if (at != s.size()) return rt_.fail("invalid format specifier '{}'", s);
    return spec;
  }

  Result<Text> formatted(const Value& v, Spec spec) {
    if (v.is_number() && !(v.is(Kind::kBool) && spec.type == 0)) {
      if (spec.type == 'd') spec.type = v.is(Kind::kFloat) ? 'd' : '\0';
      return format_number(rt_, v, spec);
    }
    if (spec.type != 0 && spec.type != 's') {
      return rt_.fail("the format '{}' does not take {}", spec.type, type_name(v));
    }
    WEIR_ASSIGN(const Text text, to_text(rt_, v));
    return pad(cut(text, spec.precision), spec, '<');
  }

  Runtime& rt_;
  const Value& format_;
  const std::string& s_;
  const Args& args_;
  size_t next_;
  size_t first_;
  Numbering numbering_ = Numbering::kNone;
};

}  // namespace

Result<Value> printf_format(Runtime& rt, const Value& format, const Value& arguments) {
  return Printf(rt, format, arguments).run();
}

Result<Value> brace_format(Runtime& rt, const Value& format, const Args& args, size_t first) {
  return Brace(rt, format, args, first).run();
}

}  // namespace weir::text::jinja
