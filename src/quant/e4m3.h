// FP8 in the format E4M3 (bias 7, no infinities, NaN is all ones), as OCP's 8-bit floating point
// specification 1.0 has it and torch.float8_e4m3fn computes it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace weir::quant {

inline constexpr float kMaxE4m3 = 448;

// Exact.
constexpr float e4m3_to_f32(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 128U) << 24;
  const uint32_t magnitude = code & 127U;
  if (magnitude == 127) return std::bit_cast<float>(sign | 0x7fc00000U);
  if (magnitude >= 8) return std::bit_cast<float>(sign | ((magnitude + (120U << 3)) << 20));
  const float value = static_cast<float>(magnitude) * 0x1p-9F;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

// The nearest, of two the even one; what is past the largest becomes the largest. Not for NaN.
constexpr uint8_t f32_to_e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 24 & 128U;
  const float magnitude = std::min(std::bit_cast<float>(bits & 0x7fffffffU), kMaxE4m3);
  if (magnitude < 0x1p-6F) {  // a multiple of 2^-9, in the last bits of 2^23 and more
    const uint32_t code = std::bit_cast<uint32_t>(magnitude * 0x1p9F + 0x1p23F) & 15U;
    return static_cast<uint8_t>(sign | code);
  }
  uint32_t rounded = std::bit_cast<uint32_t>(magnitude);
  rounded += 0x7ffffU + (rounded >> 20 & 1U);
  return static_cast<uint8_t>(sign | ((rounded >> 20) - (120U << 3)));
}

}  // namespace weir::quant
