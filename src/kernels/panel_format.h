// The formats of packed weights and what a block of 32 weights of a row takes in each.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::kernels {

inline constexpr size_t kBlock = 32;  // K per block

enum class PanelFormat : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4,     // w = d * (code - 8)
  kQ4Min,  // w = d * code + m
  kIq4,    // w = d * quant::kIq4Values[code]
  kE2m1,   // w = d * quant::kE2m1Values[code]
  kQ8,     // w = d * code, code in [-128, 127]; AVX-512 stores code + 128
  kQ5,     // w = d * (code - 16)
  kQ5Min,  // w = d * code + m
  // k-quants: D (and M) in f16 for a super-block of 8 blocks, s (and m) in int8 for a block or
  // half.
  kQ2K,  // w = D s * code + M m, s and m for each half of 16
  kQ3K,  // w = D s * (code - 4), s for each half
  kQ4K,  // w = D s * code + M m
  kQ5K,  // w = D s * code + M m
  kQ6K,  // w = D s * (code - 32), s for each half
};
inline constexpr size_t kPanelFormats = 15;
inline constexpr size_t kSuperBlock = 8;  // blocks

constexpr bool is_k_quant(PanelFormat f) {
  return f >= PanelFormat::kQ2K && f <= PanelFormat::kQ6K;
}

// Of integer formats. A code's low bits stand in one field, the rest in another.
constexpr size_t low_bits(PanelFormat f) {
  if (f == PanelFormat::kQ8) return 8;
  return f == PanelFormat::kQ2K || f == PanelFormat::kQ3K ? 2 : 4;
}
constexpr size_t high_bits(PanelFormat f) {
  switch (f) {
    case PanelFormat::kQ6K:
      return 2;
    case PanelFormat::kQ5:
    case PanelFormat::kQ5Min:
    case PanelFormat::kQ5K:
    case PanelFormat::kQ3K:
      return 1;
    default:
      return 0;
  }
}
constexpr bool has_min(PanelFormat f) {
  switch (f) {
    case PanelFormat::kQ4Min:
    case PanelFormat::kQ5Min:
    case PanelFormat::kQ2K:
    case PanelFormat::kQ4K:
    case PanelFormat::kQ5K:
      return true;
    default:
      return false;
  }
}
// Scales (and mins) of a block: one, or one for each half.
constexpr size_t scales(PanelFormat f) {
  return f == PanelFormat::kQ2K || f == PanelFormat::kQ3K || f == PanelFormat::kQ6K ? 2 : 1;
}
// Whether codes are dealt out bit field by bit field (packed_matrix.h).
constexpr bool bit_fields(PanelFormat f) { return high_bits(f) > 0 || low_bits(f) == 2; }
// What is taken from an unsigned code.
constexpr int32_t zero_point(PanelFormat f) {
  switch (f) {
    case PanelFormat::kQ4:
      return 8;
    case PanelFormat::kQ5:
      return 16;
    case PanelFormat::kQ3K:
      return 4;
    case PanelFormat::kQ6K:
      return 32;
    default:
      return 0;
  }
}

// Bytes a row.
constexpr size_t low_bytes(PanelFormat f) { return kBlock * low_bits(f) / 8; }
constexpr size_t code_bytes(PanelFormat f) { return low_bytes(f) + kBlock * high_bits(f) / 8; }
// Of a block, without its share of the super-block's head.
constexpr size_t block_bytes(PanelFormat f) {
  return code_bytes(f) + scales(f) * (has_min(f) ? 2 : 1) * (is_k_quant(f) ? 1 : 2);
}
// D and M before the blocks of a super-block.
constexpr size_t head_bytes(PanelFormat f) {
  if (!is_k_quant(f)) return 0;
  return has_min(f) ? 4 : 2;
}
// Where block b of a row begins.
constexpr size_t block_offset(PanelFormat f, size_t b) {
  return b * block_bytes(f) + (b / kSuperBlock + 1) * head_bytes(f);
}

}  // namespace weir::kernels
