// Strings as Python sees them: sequences of code points. Ill-formed bytes count as one each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/jinja/text.h"

namespace weir::text::jinja {

size_t count_chars(std::string_view s);
// Byte offset of the n-th code point; s.size() when there are fewer.
size_t char_offset(std::string_view s, size_t n);
// Byte offsets of all code points, and s.size().
std::vector<size_t> char_offsets(std::string_view s);

bool is_space(uint32_t c);      // str.isspace
bool is_printable(uint32_t c);  // str.isprintable
bool is_letter(uint32_t c);     // str.isalpha
bool is_digit(uint32_t c);      // str.isdecimal
bool is_upper(uint32_t c);
bool is_lower(uint32_t c);

Text upper(const Text& t);
Text lower(const Text& t);
Text title(const Text& t);        // str.title
Text title_words(const Text& t);  // Jinja's title: words begin after spaces and - ( { [ <
Text capitalize(const Text& t);   // str.capitalize

// Bytes of white space at the start and at the end of s.
size_t leading_space(std::string_view s);
size_t trailing_space(std::string_view s);

}  // namespace weir::text::jinja
