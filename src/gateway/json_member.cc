#include "gateway/json_member.h"

namespace weir::gateway {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

size_t skip_blanks(std::string_view json, size_t at) {
  while (at < json.size() && is_blank(json[at])) ++at;
  return at;
}

// Past the string that begins at its opening quote.
size_t skip_string(std::string_view json, size_t at) {
  for (++at; at < json.size(); ++at) {
    if (json[at] == '\\') {
      ++at;
    } else if (json[at] == '"') {
      return at + 1;
    }
  }
  return json.size();
}

size_t skip_value(std::string_view json, size_t at) {
  size_t depth = 0;
  while (at < json.size()) {
    const char c = json[at];
    if (c == '"') {
      at = skip_string(json, at);
      if (depth == 0) return at;
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;  // the end of what a number or a word stands in
      if (--depth == 0) return at + 1;
    } else if (depth == 0 && (c == ',' || is_blank(c))) {
      return at;
    }
    ++at;
  }
  return at;
}

}  // namespace

std::optional<TextSpan> member_value(std::string_view json, std::string_view key) {
  size_t at = skip_blanks(json, 0);
  if (at >= json.size() || json[at] != '{') return std::nullopt;
  at = skip_blanks(json, at + 1);
  while (at < json.size() && json[at] == '"') {
    const size_t name = at + 1;
    at = skip_string(json, at);
    const std::string_view found = json.substr(name, at - 1 - name);
    at = skip_blanks(json, at);  // the colon
    at = skip_blanks(json, at + 1);
    const size_t end = skip_value(json, at);
    if (found == key) return TextSpan{at, end - at};
    at = skip_blanks(json, end);  // a comma, or the end
    at = skip_blanks(json, at + 1);
  }
  return std::nullopt;
}

std::string with_member(std::string_view json, std::string_view key, std::string_view value) {
  std::string out;
  out.reserve(json.size() + key.size() + value.size() + 4);
  if (const auto at = member_value(json, key)) {
    out.append(json.substr(0, at->begin)).append(value).append(json.substr(at->begin + at->size));
    return out;
  }
  const size_t open = skip_blanks(json, 0) + 1;
  const size_t first = skip_blanks(json, open);
  out.append(json.substr(0, open)).append("\"").append(key).append("\":").append(value);
  if (first < json.size() && json[first] != '}') out += ',';
  out.append(json.substr(open));
  return out;
}

}  // namespace weir::gateway
