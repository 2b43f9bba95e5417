// The codebook formats IQ1 to IQ4: 256 values a block, codes that stand for four or eight values at
// once.
#include "quant/blocks.h"
#include "quant/codebooks.h"
#include "quant/four_bit_values.h"

namespace weir::quant {

namespace {

unsigned byte_at(const std::byte* p, size_t i) { return std::to_integer<unsigned>(p[i]); }

unsigned nibble_at(const std::byte* p, size_t i) { return byte_at(p, i / 2) >> (i % 2 * 4) & 15U; }

// Seven sign bits stand for eight: the number of minus signs is even.
unsigned eight_signs(unsigned seven) {
  return seven | (static_cast<unsigned>(__builtin_popcount(seven)) & 1U) << 7;
}

// N values of a codebook row; bit j of signs turns value j around.
template <size_t N, unsigned Bits>
void put_row(const float* values, unsigned row, float scale, unsigned signs, float* dst) {
  for (size_t j = 0; j < N; ++j) {
    const float value = scale * values[row >> (Bits * j) & ((1U << Bits) - 1)];
    dst[j] = (signs >> j & 1U) != 0 ? -value : value;
  }
}

// The scale of 16 or 32 values of the IQ2 formats.
float iq2_scale(float d, unsigned code) { return d * (0.5F + static_cast<float>(code)) * 0.25F; }

void put_iq1_row(unsigned code, float scale, bool negative, float* dst) {
  constexpr float kDelta = 0.125F;
  const unsigned row = kIq1SCodebook[code];
  for (size_t j = 0; j < 8; ++j)
    dst[j] = scale * (kIq1Values[row >> (2 * j) & 3U] + (negative ? -kDelta : kDelta));
}

}  // namespace

void decode_iq2_xxs(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t g = 0; g < 8; ++g) {
    const std::byte* p = src + 2 + g * 8;
    const uint32_t rest = load_u32(p + 4);
    const float scale = iq2_scale(d, rest >> 28);
    for (size_t i = 0; i < 4; ++i) {
      put_row<8, 2>(kIq2Values, kIq2XxsCodebook[byte_at(p, i)], scale,
                    eight_signs(rest >> (7 * i) & 127U), dst + g * 32 + i * 8);
    }
  }
}

void decode_iq2_xs(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < 32; ++i) {
    const unsigned code = load_u16(src + 2 + 2 * i);
    put_row<8, 2>(kIq2Values, kIq2XsCodebook[code & 511U], iq2_scale(d, nibble_at(src + 66, i / 2)),
                  eight_signs(code >> 9), dst + i * 8);
  }
}

void decode_iq2_s(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < 32; ++i) {
    const unsigned high = byte_at(src + 66, i / 4) >> (i % 4 * 2) & 3U;
    put_row<8, 2>(kIq2Values, kIq2SCodebook[byte_at(src + 2, i) | high << 8],
                  iq2_scale(d, nibble_at(src + 74, i / 2)), byte_at(src + 34, i), dst + i * 8);
  }
}

void decode_iq3_xxs(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t rest = load_u32(src + 66 + i / 8 * 4);
    const float scale = d * (0.5F + static_cast<float>(rest >> 28)) * 0.5F;
    const unsigned signs = eight_signs(rest >> (i % 8 / 2 * 7) & 127U) >> (i % 2 * 4);
    put_row<4, 3>(kIq3XxsValues, kIq3XxsCodebook[byte_at(src + 2, i)], scale, signs, dst + i * 4);
  }
}

void decode_iq3_s(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < 64; ++i) {
    const unsigned high = byte_at(src + 66, i / 8) >> (i % 8) & 1U;
    const float scale = d * static_cast<float>(1 + 2 * nibble_at(src + 106, i / 8));
    const unsigned signs = byte_at(src + 74, i / 2) >> (i % 2 * 4);
    put_row<4, 3>(kIq3SValues, kIq3SCodebook[byte_at(src + 2, i) | high << 8], scale, signs,
                  dst + i * 4);
  }
}

void decode_iq1_s(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < 32; ++i) {
    const unsigned high = load_u16(src + 34 + i / 4 * 2);
    const float scale = d * static_cast<float>(2 * (high >> 12 & 7U) + 1);
    put_iq1_row(byte_at(src + 2, i) | (high >> (i % 4 * 3) & 7U) << 8, scale, (high & 0x8000U) != 0,
                dst + i * 8);
  }
}

void decode_iq1_m(const std::byte* src, float* dst) {
  // The block's f16 scale lies in the top nibbles of the four words of scales.
  const std::byte* scales = src + 48;
  unsigned half = 0;
  for (size_t w = 0; w < 4; ++w) half |= (load_u16(scales + 2 * w) >> 12 & 15U) << (4 * w);
  const float d = f16_to_f32(static_cast<uint16_t>(half));
  for (size_t i = 0; i < 32; ++i) {
    const unsigned high = byte_at(src + 32, i / 2) >> (i % 2 * 4) & 15U;
    const unsigned code = load_u16(scales + i / 8 * 2) >> (i / 2 % 4 * 3) & 7U;
    put_iq1_row(byte_at(src, i) | (high & 7U) << 8, d * static_cast<float>(2 * code + 1),
                (high & 8U) != 0, dst + i * 8);
  }
}

void decode_iq4_nl(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < 32; ++i)
    dst[i] = d * kIq4Values[byte_at(src, 2 + i % 16) >> (i / 16 * 4) & 15U];
}

void decode_iq4_xs(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  const unsigned high = load_u16(src + 2);
  for (size_t g = 0; g < 8; ++g) {
    const unsigned code = nibble_at(src + 4, g) | (high >> (2 * g) & 3U) << 4;
    const float scale = d * static_cast<float>(static_cast<int>(code) - 32);
    const std::byte* codes = src + 8 + g * 16;
    for (size_t i = 0; i < 32; ++i)
      dst[g * 32 + i] = scale * kIq4Values[byte_at(codes, i % 16) >> (i / 16 * 4) & 15U];
  }
}

}  // namespace weir::quant
