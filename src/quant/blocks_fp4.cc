// Formats of four-bit floats (MXFP4, NVFP4) and of three values (TQ1_0, TQ2_0).
#include <bit>

#include "quant/blocks.h"
#include "quant/four_bit_values.h"

namespace weir::quant {

namespace {

unsigned byte_at(const std::byte* p, size_t i) { return std::to_integer<unsigned>(p[i]); }

// Half of 2^(x - 127), because the codes stand for doubled values; also where that is subnormal.
float half_of_e8m0(unsigned x) {
  return std::bit_cast<float>(x < 2 ? 0x00200000U << x : (x - 1) << 23);
}

// Half of an unsigned E4M3 number (bias 7, no infinity; 0x7F, the NaN, counts as 0).
float half_of_ue4m3(unsigned x) {
  if (x == 0 || x == 0x7F) return 0.0F;
  const unsigned exponent = x >> 3 & 15U;
  const auto mantissa = static_cast<float>(x & 7U);
  const float raw = exponent == 0
                        ? mantissa * 0x1p-9F
                        : (1.0F + mantissa / 8.0F) * std::bit_cast<float>((exponent + 120) << 23);
  return raw * 0.5F;
}

// The value of ternary digit `digit` of a byte that holds five: the byte is the fraction
// ceil(digits * 256 / 243) / 256, so a multiplication by 3 moves the next digit above the point.
float ternary(unsigned byte, unsigned power) {
  const unsigned fraction = byte * power & 255U;
  return static_cast<float>(static_cast<int>(fraction * 3 >> 8) - 1);
}

}  // namespace

void decode_mxfp4(const std::byte* src, float* dst) {
  const float d = half_of_e8m0(byte_at(src, 0));
  for (size_t i = 0; i < 32; ++i)
    dst[i] = d * kE2m1Values[byte_at(src, 1 + i % 16) >> (i / 16 * 4) & 15U];
}

void decode_nvfp4(const std::byte* src, float* dst) {
  for (size_t g = 0; g < 4; ++g) {
    const float d = half_of_ue4m3(byte_at(src, g));
    for (size_t i = 0; i < 16; ++i) {
      dst[g * 16 + i] = d * kE2m1Values[byte_at(src, 4 + g * 8 + i % 8) >> (i / 8 * 4) & 15U];
    }
  }
}

void decode_tq1_0(const std::byte* src, float* dst) {
  constexpr unsigned kPowers[5] = {1, 3, 9, 27, 81};
  const float d = load_f16(src + 52);
  for (size_t digit = 0; digit < 5; ++digit) {
    for (size_t i = 0; i < 32; ++i)
      dst[digit * 32 + i] = d * ternary(byte_at(src, i), kPowers[digit]);
    for (size_t i = 0; i < 16; ++i)
      dst[160 + digit * 16 + i] = d * ternary(byte_at(src, 32 + i), kPowers[digit]);
  }
  for (size_t i = 0; i < 16; ++i)
    dst[240 + i] = d * ternary(byte_at(src, 48 + i % 4), kPowers[i / 4]);
}

void decode_tq2_0(const std::byte* src, float* dst) {
  const float d = load_f16(src + 64);
  for (size_t i = 0; i < 256; ++i) {
    const unsigned code = byte_at(src, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3U;
    dst[i] = d * static_cast<float>(static_cast<int>(code) - 1);
  }
}

}  // namespace weir::quant
