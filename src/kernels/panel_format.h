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
  kQ2Min,  // w = d * code + m, d and m for each half of 16
  kQ3,     // w = d * (code - 4), d for each half
  kQ6,     // w = d * (code - 32), d for each half
};
inline constexpr size_t kPanelFormats = 13;

// Of integer formats. A code's low bits stand in one field, the rest in another.
constexpr size_t low_bits(PanelFormat f) {
  if (f == PanelFormat::kQ8) return 8;
  return f == PanelFormat::kQ2Min || f == PanelFormat::kQ3 ? 2 : 4;
}
constexpr size_t high_bits(PanelFormat f) {
  if (f == PanelFormat::kQ6) return 2;
  return f == PanelFormat::kQ5 || f == PanelFormat::kQ5Min || f == PanelFormat::kQ3 ? 1 : 0;
}
constexpr bool has_min(PanelFormat f) {
  return f == PanelFormat::kQ4Min || f == PanelFormat::kQ5Min || f == PanelFormat::kQ2Min;
}
// Scales (and mins) of a block: one, or one for each half.
constexpr size_t scales(PanelFormat f) {
  return f == PanelFormat::kQ2Min || f == PanelFormat::kQ3 || f == PanelFormat::kQ6 ? 2 : 1;
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
    case PanelFormat::kQ3:
      return 4;
    case PanelFormat::kQ6:
      return 32;
    default:
      return 0;
  }
}

// Bytes a row.
constexpr size_t low_bytes(PanelFormat f) { return kBlock * low_bits(f) / 8; }
constexpr size_t code_bytes(PanelFormat f) { return low_bytes(f) + kBlock * high_bits(f) / 8; }
constexpr size_t block_bytes(PanelFormat f) {
  return code_bytes(f) + 2 * scales(f) * (has_min(f) ? 2 : 1);
}

}  // namespace weir::kernels
