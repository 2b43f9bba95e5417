#include "text/jinja/unescape.h"

#include <charconv>

#include "text/utf8.h"

namespace weir::text::jinja {
namespace {

// Digits of `base` at s[at], at most `most`; how many there were.
size_t read_digits(std::string_view s, size_t at, size_t most, int base, uint32_t& value) {
  const std::string_view digits = s.substr(at, most);
  if (digits.empty() || digits[0] == '-') return 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  return static_cast<size_t>(end - digits.data());
}

// The escape whose letter is s[at]; moves past it.
Status escape(std::string_view s, size_t& at, std::string& out) {
  static constexpr std::string_view kNames = "\\'\"abfnrtv";
  static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
  const char c = s[at];
  uint32_t value = 0;
  if (const size_t i = kNames.find(c); i != std::string_view::npos) {
    out += kValues[i];
    ++at;
  } else if (c == '\n') {
    ++at;
  } else if (c >= '0' && c <= '7') {
    at += read_digits(s, at, 3, 8, value);
    append_utf8(out, value);
  } else if (c == 'x' || c == 'u' || c == 'U') {
    const size_t want = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    if (read_digits(s, at + 1, want, 16, value) != want) {
      return make_error(ErrorCode::kCorrupt, "truncated \\{} escape in a string", c);
    }
    at += 1 + want;
    append_utf8(out, value);
  } else if (c == 'N') {
    return make_error(ErrorCode::kCorrupt, "named characters (\\N) are not supported");
  } else {
    out += '\\';
  }
  return {};
}

}  // namespace

Result<std::string> unescape(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t at = 0; at < s.size();) {
    if (s[at] != '\\' || at + 1 >= s.size()) {
      out += s[at++];
      continue;
    }
    ++at;
    WEIR_TRY(escape(s, at, out));
  }
  return out;
}

}  // namespace weir::text::jinja
