// Scalar conversions between f32 and the two 16-bit float formats, bit for bit what F16C and
// AVX512-BF16-style hardware and the Python package `gguf` compute: round to nearest even,
// subnormals kept, infinities kept, NaNs made quiet with their top payload bits.
#pragma once

#include <bit>
#include <cstdint>

namespace weir::quant {

// Whether a binary16 is NaN or infinite: all exponent bits set.
constexpr bool f16_bad(uint16_t half) { return (half & 0x7c00u) == 0x7c00u; }

// IEEE 754 binary16 → binary32; exact. A signalling NaN becomes quiet, as vcvtph2ps does.
constexpr float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1f) {
    const uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13) | quiet);
  }
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Zero or subnormal: mantissa × 2^-24, exact in f32.
  const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

// IEEE 754 binary32 → binary16, round to nearest even; overflow gives infinity, as vcvtps2ph does.
constexpr uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // ≥ 2^16, infinity
  uint32_t mantissa = magnitude;
  uint32_t shift = 13;
  uint32_t base = 0;
  if (magnitude >= 0x38800000u) {  // normal in f16; a carry out of the mantissa raises the
                                   // exponent, up to infinity
    mantissa = magnitude - 0x38000000u;
  } else {  // subnormal in f16: value / 2^-24, rounded
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return static_cast<uint16_t>(sign);  // < 2^-25
    mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    shift = 126 - exponent;
  }
  base = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1);
  const uint32_t half = 1u << (shift - 1);
  if (rest > half || (rest == half && (base & 1u) != 0)) ++base;
  return static_cast<uint16_t>(sign | base);
}

// bfloat16 → binary32; exact.
constexpr float bf16_to_f32(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

// binary32 → bfloat16, round to nearest even (ggml_compute_fp32_to_bf16).
constexpr uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 64u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace weir::quant
