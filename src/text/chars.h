// A text as codepoints with the character classes that the splitting rules of tokenizers ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::text {

// Bits of a class set; general categories are those of utf8proc (Unicode 15).
enum CharClass : uint16_t {
  kLetter = 1,    // \p{L}
  kNumber = 2,    // \p{N}
  kMark = 4,      // \p{M}
  kPunct = 8,     // \p{P}
  kSymbol = 16,   // \p{S}
  kSpace = 32,    // \s: White_Space
  kNewline = 64,  // \r \n, which are kSpace too
  kUpper = 128,   // \p{Lu} \p{Lt}, which are kLetter too
  kLower = 256,   // \p{Ll}, which is kLetter too
};

uint16_t char_class(uint32_t codepoint);
// The simple lower-case mapping; characters without one stay.
uint32_t lower_case(uint32_t codepoint);

struct Chars {
  std::vector<uint32_t> codepoint;
  std::vector<uint16_t> classes;
  std::vector<uint32_t> offset;  // byte offset of each, and one more: the end

  size_t size() const { return codepoint.size(); }
  bool is(size_t i, uint16_t set) const { return (classes[i] & set) != 0; }
  // The first index in [i, end) whose class is not in `set`, or end.
  size_t skip(size_t i, size_t end, uint16_t set) const {
    while (i < end && (classes[i] & set) != 0) ++i;
    return i;
  }

  // Replaces the contents. Precondition: well-formed UTF-8 of less than 4 GiB.
  void assign(std::string_view text);
};

}  // namespace weir::text
