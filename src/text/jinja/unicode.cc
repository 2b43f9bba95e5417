#include "text/jinja/unicode.h"

#include <utf8proc.h>

#include "text/utf8.h"

namespace weir::text::jinja {
namespace {

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Every character through `map(codepoint, index)`, which appends what it becomes to a string.
template <typename Map>
Text map_chars(const Text& t, Map map) {
  Text out;
  std::string piece;
  for (size_t at = 0, r = 0; at < t.size();) {
    while (t.runs()[r].end <= at) ++r;
    const Utf8Char c = decode_utf8(t.bytes(), at);
    piece.clear();
    if (c.valid) {
      map(c.codepoint, piece);
    } else {
      piece = t.bytes().substr(at, c.length);
    }
    out.append(piece, t.runs()[r].user);
    at += c.length;
  }
  return out;
}

void append_upper(uint32_t c, std::string& out) {
  if (c == 0xDF) {
    out += "SS";
  } else {
    append_utf8(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(uint32_t c, std::string& out) {
  if (c == 0xDF) {
    out += "Ss";
  } else {
    append_utf8(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_lower(uint32_t c, std::string& out) {
  append_utf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

bool is_cased(uint32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

}  // namespace

size_t count_chars(std::string_view s) {
  size_t n = 0;
  for (size_t at = 0; at < s.size(); ++n) {
    at += static_cast<unsigned char>(s[at]) < 0x80 ? 1 : decode_utf8(s, at).length;
  }
  return n;
}

size_t char_offset(std::string_view s, size_t n) {
  size_t at = 0;
  for (; n > 0 && at < s.size(); --n) {
    at += static_cast<unsigned char>(s[at]) < 0x80 ? 1 : decode_utf8(s, at).length;
  }
  return at;
}

std::vector<size_t> char_offsets(std::string_view s) {
  std::vector<size_t> offsets;
  offsets.reserve(s.size() + 1);
  for (size_t at = 0; at < s.size();) {
    offsets.push_back(at);
    at += static_cast<unsigned char>(s[at]) < 0x80 ? 1 : decode_utf8(s, at).length;
  }
  offsets.push_back(s.size());
  return offsets;
}

bool is_space(uint32_t c) {
  if (c < 0x80) return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || category(c) == UTF8PROC_CATEGORY_ZS || c == 0x2028 || c == 0x2029;
}

bool is_printable(uint32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_letter(uint32_t c) {
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_upper(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LL; }

Text upper(const Text& t) { return map_chars(t, append_upper); }
Text lower(const Text& t) { return map_chars(t, append_lower); }

Text title(const Text& t) {
  bool inside = false;
  return map_chars(t, [&](uint32_t c, std::string& out) {
    inside ? append_lower(c, out) : append_title(c, out);
    inside = is_cased(c);
  });
}

Text title_words(const Text& t) {
  bool inside = false;
  return map_chars(t, [&](uint32_t c, std::string& out) {
    inside ? append_lower(c, out) : append_upper(c, out);
    inside = !(is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<');
  });
}

Text capitalize(const Text& t) {
  bool first = true;
  return map_chars(t, [&](uint32_t c, std::string& out) {
    first ? append_title(c, out) : append_lower(c, out);
    first = false;
  });
}

size_t leading_space(std::string_view s) {
  size_t at = 0;
  while (at < s.size()) {
    const Utf8Char c = decode_utf8(s, at);
    if (!c.valid || !is_space(c.codepoint)) break;
    at += c.length;
  }
  return at;
}

size_t trailing_space(std::string_view s) {
  size_t end = s.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && (static_cast<unsigned char>(s[begin]) & 0xC0) == 0x80) {
      --begin;
    }
    const Utf8Char c = decode_utf8(s, begin);
    if (!c.valid || begin + c.length != end || !is_space(c.codepoint)) break;
    end = begin;
  }
  return s.size() - end;
}

}  // namespace weir::text::jinja
