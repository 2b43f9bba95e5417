#include "checkpoint/quantize_pack.h"

#include <array>
#include <cstring>

namespace weir::checkpoint {
namespace {

// The shift of row i of eight that AutoAWQ packs into a word.
constexpr std::array<unsigned, 8> kAwqShift = {0, 16, 4, 20, 8, 24, 12, 28};

struct Place {
  size_t word;
  unsigned shift;
};

// place(row of the matrix, column)
template <typename PlaceOf>
void pack(const CodeStrip& s, std::span<std::byte> words, PlaceOf place) {
  for (size_t col = 0; col < s.cols; ++col) {
    for (size_t row = 0; row < s.rows; ++row) {
      const Place at = place(s.first + row, col);
      std::byte* to = words.data() + at.word * 4;
      uint32_t word;
      std::memcpy(&word, to, 4);
      word |= static_cast<uint32_t>(s.codes[row * s.cols + col]) << at.shift;
      std::memcpy(to, &word, 4);
    }
  }
}

size_t codes_a_word(const CodeStrip& s) { return static_cast<size_t>(32 / s.bits); }

unsigned shift_of(const CodeStrip& s, size_t i) {
  return static_cast<unsigned>(i % codes_a_word(s)) * static_cast<unsigned>(s.bits);
}

}  // namespace

void pack_along_rows(const CodeStrip& s, std::span<std::byte> words) {
  const size_t n = codes_a_word(s), stride = (s.cols + n - 1) / n;
  pack(s, words, [&](size_t row, size_t col) {
    return Place{row * stride + col / n, shift_of(s, col)};
  });
}

void pack_columns_across(const CodeStrip& s, std::span<std::byte> words) {
  const size_t n = codes_a_word(s);
  pack(s, words, [&](size_t row, size_t col) {
    return Place{col / n * s.all_rows + row, shift_of(s, col)};
  });
}

void pack_rows_across(const CodeStrip& s, std::span<std::byte> words) {
  const size_t n = codes_a_word(s), stride = s.all_rows / n;
  pack(s, words, [&](size_t row, size_t col) {
    return Place{col * stride + row / n, shift_of(s, row)};
  });
}

void pack_rows_down(const CodeStrip& s, std::span<std::byte> words) {
  const size_t n = codes_a_word(s);
  pack(s, words, [&](size_t row, size_t col) {
    return Place{row / n * s.cols + col, shift_of(s, row)};
  });
}

void pack_awq(const CodeStrip& s, std::span<std::byte> words) {
  const size_t stride = s.all_rows / 8;
  pack(s, words, [&](size_t row, size_t col) {
    return Place{col * stride + row / 8, kAwqShift[row % 8]};
  });
}

}  // namespace weir::checkpoint
