// UTF-8: validation, decoding, replacement. Well-formedness is Table 3-7 of the Unicode Standard
// (no overlong forms, no surrogates, nothing above U+10FFFF); replacement is "substitution of
// maximal subparts" of its section 3.9, the practice of WHATWG and of Python's errors="replace".
// Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::text {

inline constexpr uint32_t kReplacementCharacter = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

struct Utf8Char {
  uint32_t codepoint = kReplacementCharacter;  // U+FFFD when !valid
  uint32_t length = 1;  // bytes consumed, >= 1; the maximal subpart when !valid
  bool valid = false;
  bool truncated = false;  // !valid, and more bytes after the end of text could have made it valid
};

// The character at text[at]. Precondition: at < text.size().
Utf8Char decode_utf8(std::string_view text, size_t at);

// Bytes of the longest well-formed prefix; text.size() when all of it is well formed.
size_t valid_utf8_prefix(std::string_view text);

inline bool is_valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

// Each maximal ill-formed subpart becomes one U+FFFD; well-formed text is unchanged.
std::string replace_invalid_utf8(std::string_view text);

// The first bytes of text, at most max_bytes and no part of a character: what an error quotes.
// text is well formed.
std::string_view cut_utf8(std::string_view text, size_t max_bytes);

// The characters that begin in `text`: of valid UTF-8 its codepoints, of a piece cut out of it
// those whose first byte is there.
size_t count_characters(std::string_view text);

// Appends one codepoint; surrogates and values above U+10FFFF append U+FFFD.
void append_utf8(std::string& out, uint32_t codepoint);

}  // namespace weir::text
