// Codes of 4 or 8 bits into words of 32, in the orders of GPU engines: what quantized.cc reads.
// Internal to checkpoint/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::checkpoint {

// Rows [first, first + rows) of a matrix of codes [all_rows, cols].
struct CodeStrip {
  size_t first = 0, rows = 0, all_rows = 0;
  size_t cols = 0;
  int bits = 4;
  std::span<const uint8_t> codes;  // [rows, cols]
};

// Each adds the strip's codes to the words of the whole matrix, which are 0 before. Strips that
// begin at multiples of 8 rows touch different words, so threads may pack them side by side. The
// lowest bits come first, but for AutoAWQ.
//
// [all_rows, cols * bits / 32], rounded up
void pack_along_rows(const CodeStrip& strip, std::span<std::byte> words);
// [cols * bits / 32, all_rows]: weights of GPTQ
void pack_columns_across(const CodeStrip& strip, std::span<std::byte> words);
// [cols, all_rows * bits / 32]: zero points of GPTQ
void pack_rows_across(const CodeStrip& strip, std::span<std::byte> words);
// [all_rows * bits / 32, cols], rounded up: zero points of compressed-tensors
void pack_rows_down(const CodeStrip& strip, std::span<std::byte> words);
// [cols, all_rows / 8], 4 bits in AutoAWQ's order: its weights and zero points
void pack_awq(const CodeStrip& strip, std::span<std::byte> words);

}  // namespace weir::checkpoint
