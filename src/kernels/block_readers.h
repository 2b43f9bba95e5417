// Blocks of 32 weights read from the formats of files, on their way into panels. Internal to
// kernels/. Sources of the layouts: the block structs of ggml-common.h and gguf.quants (Python
// package `gguf`).
#pragma once

#include <cstddef>
#include <cstdint>

#include "gguf/tensor_type.h"
#include "kernels/panel_format.h"

namespace weir::kernels {

// 32 weights of one row.
struct Block {
  // 4-bit formats: 16 pairs as ggml stores them, low nibbles k = 0 .. 15, high nibbles k = 16
  // .. 31. 8-bit: two's complement. Formats of bit fields: one unsigned code each.
  uint8_t codes[kBlock];
  uint16_t scale;  // f16; of k-quants D of the super-block
  uint16_t min;    // f16, what is added; of k-quants M
  // k-quants: factors of D and M, the second for k >= 16 where the format has two.
  int8_t scales[2];
  int8_t mins[2];
};

// Reads block b of a row. False when a scale product does not fit f16.
using BlockReader = bool (*)(const std::byte* row, size_t b, Block* block);

// nullptr for types that are not stored in panels of their own codes.
BlockReader block_reader(gguf::TensorType type);

// Rounds 32 values to signed 8 bits under one f16 scale. False when they are not finite or too
// large.
bool round_to_q8(const float* x, Block* block);

}  // namespace weir::kernels
