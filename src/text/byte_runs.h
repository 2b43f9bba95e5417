// How far plain bytes go, eight at a time: JSON is mostly text without escapes, and text mostly
// ASCII. One byte at a time these loops were a third of what the gateway did for a request.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir::text {

namespace byte_runs {
inline constexpr uint64_t kOnes = 0x0101010101010101U;
inline constexpr uint64_t kHigh = 0x8080808080808080U;

inline uint64_t word_at(const char* p) {
  uint64_t word = 0;
  std::memcpy(&word, p, sizeof(word));
  return word;
}
// Not 0 when a byte is below n <= 128 (Anderson, Bit Twiddling Hacks: "hasless").
inline uint64_t any_below(uint64_t word, uint64_t n) { return (word - kOnes * n) & ~word & kHigh; }
inline uint64_t any_is(uint64_t word, char c) {
  return any_below(word ^ kOnes * static_cast<unsigned char>(c), 1);
}
// Of what these found the first byte is exact; where a borrow ran on, later ones may be wrong.
inline constexpr bool kFirstIsLow = std::endian::native == std::endian::little;
inline size_t first_of(uint64_t found) { return static_cast<size_t>(std::countr_zero(found)) / 8; }
}  // namespace byte_runs

// The first place from `at` on that is no ASCII; the text's end when there is none.
inline size_t ascii_end(std::string_view text, size_t at) {
  while (text.size() - at >= 8 && (byte_runs::word_at(text.data() + at) & byte_runs::kHigh) == 0)
    at += 8;
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

// The first place from `at` on that a JSON string cannot hold as it is: a quote, a backslash, a
// control character; the text's end when there is none.
inline size_t plain_end(std::string_view text, size_t at) {
  while (text.size() - at >= 8) {
    const uint64_t word = byte_runs::word_at(text.data() + at);
    const uint64_t found = byte_runs::any_is(word, '"') | byte_runs::any_is(word, '\\') |
                           byte_runs::any_below(word, 0x20);
    if (found != 0) {
      if constexpr (byte_runs::kFirstIsLow) return at + byte_runs::first_of(found);
      break;
    }
    at += 8;
  }
  while (at < text.size() && text[at] != '"' && text[at] != '\\' &&
         static_cast<unsigned char>(text[at]) >= 0x20)
    ++at;
  return at;
}

// The first CR or LF from `at` on; the text's end when there is none.
inline size_t line_end(std::string_view text, size_t at) {
  while (text.size() - at >= 8) {
    const uint64_t word = byte_runs::word_at(text.data() + at);
    const uint64_t found = byte_runs::any_is(word, '\n') | byte_runs::any_is(word, '\r');
    if (found != 0) {
      if constexpr (byte_runs::kFirstIsLow) return at + byte_runs::first_of(found);
      break;
    }
    at += 8;
  }
  while (at < text.size() && text[at] != '\n' && text[at] != '\r') ++at;
  return at;
}

}  // namespace weir::text
