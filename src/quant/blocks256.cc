// The k-quants: 256 values a block, in sub-blocks of 16 or 32 with their own small scales.
#include "quant/blocks.h"

namespace weir::quant {

namespace {

constexpr size_t kBlock = 256;

int bits(std::byte b, size_t shift, unsigned mask) {
  return static_cast<int>((std::to_integer<unsigned>(b) >> shift) & mask);
}

// Eight 6-bit scales and mins in 12 bytes (Q4_K, Q5_K): the low six bits of bytes 0–3 are scales
// 0–3, of bytes 4–7 mins 0–3; bytes 8–11 hold the low nibbles of scales and mins 4–7, whose upper
// two bits are the upper bits of bytes 0–7.
struct ScaleMin {
  float scale[8];
  float min[8];
};

ScaleMin unpack_scales(const std::byte* s, float d, float dmin) {
  ScaleMin out;
  for (size_t i = 0; i < 4; ++i) {
    out.scale[i] = d * static_cast<float>(bits(s[i], 0, 0x3f));
    out.min[i] = dmin * static_cast<float>(bits(s[i + 4], 0, 0x3f));
    out.scale[i + 4] = d * static_cast<float>(bits(s[i + 8], 0, 0x0f) | (bits(s[i], 6, 3) << 4));
    out.min[i + 4] =
        dmin * static_cast<float>(bits(s[i + 8], 4, 0x0f) | (bits(s[i + 4], 6, 3) << 4));
  }
  return out;
}

}  // namespace

void decode_q2_k(const std::byte* src, float* dst) {
  const std::byte* scales = src;
  const std::byte* codes = src + 16;
  const float d = load_f16(src + 80);
  const float dmin = load_f16(src + 82);
  for (size_t i = 0; i < kBlock; ++i) {
    // Each 32 bytes of codes hold 128 values, 32 per pair of bits.
    const int q = bits(codes[i / 128 * 32 + i % 32], i % 128 / 32 * 2, 3);
    const float scale = d * static_cast<float>(bits(scales[i / 16], 0, 0x0f));
    const float min = dmin * static_cast<float>(bits(scales[i / 16], 4, 0x0f));
    dst[i] = scale * static_cast<float>(q) - min;
  }
}

void decode_q3_k(const std::byte* src, float* dst) {
  const std::byte* high = src;
  const std::byte* codes = src + 32;
  const std::byte* packed = src + 96;
  const float d = load_f16(src + 108);
  float scales[16];
  for (size_t i = 0; i < 16; ++i) {
    const int lower = bits(packed[i % 8], i / 8 * 4, 0x0f);
    const int upper = bits(packed[8 + i % 4], i / 4 * 2, 3);
    scales[i] = d * static_cast<float>((lower | (upper << 4)) - 32);
  }
  for (size_t i = 0; i < kBlock; ++i) {
    const int q = bits(codes[i / 128 * 32 + i % 32], i % 128 / 32 * 2, 3);
    // A set high bit means "no offset".
    const int offset = bits(high[i % 32], i / 32, 1) != 0 ? 0 : 4;
    dst[i] = scales[i / 16] * static_cast<float>(q - offset);
  }
}

void decode_q4_k(const std::byte* src, float* dst) {
  const ScaleMin sm = unpack_scales(src + 4, load_f16(src), load_f16(src + 2));
  const std::byte* codes = src + 16;
  for (size_t i = 0; i < kBlock; ++i) {
    // Each 32 bytes hold 64 values: low nibbles, then high ones.
    const int q = bits(codes[i / 64 * 32 + i % 32], i % 64 / 32 * 4, 0x0f);
    dst[i] = sm.scale[i / 32] * static_cast<float>(q) - sm.min[i / 32];
  }
}

void decode_q5_k(const std::byte* src, float* dst) {
  const ScaleMin sm = unpack_scales(src + 4, load_f16(src), load_f16(src + 2));
  const std::byte* fifth = src + 16;
  const std::byte* codes = src + 48;
  for (size_t i = 0; i < kBlock; ++i) {
    const int lower = bits(codes[i / 64 * 32 + i % 32], i % 64 / 32 * 4, 0x0f);
    const int q = lower | (bits(fifth[i % 32], i / 32, 1) << 4);
    dst[i] = sm.scale[i / 32] * static_cast<float>(q) - sm.min[i / 32];
  }
}

void decode_q6_k(const std::byte* src, float* dst) {
  const std::byte* lower = src;
  const std::byte* upper = src + 128;
  const std::byte* scales = src + 192;
  const float d = load_f16(src + 208);
  for (size_t i = 0; i < kBlock; ++i) {
    // Each 64 low bytes hold 128 values, low nibbles first; each 32 high bytes the upper bits of
    // 128.
    const int low4 = bits(lower[i / 128 * 64 + i % 64], i % 128 / 64 * 4, 0x0f);
    const int high2 = bits(upper[i / 128 * 32 + i % 32], i % 128 / 32 * 2, 3);
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    dst[i] = scale * static_cast<float>((low4 | (high2 << 4)) - 32);
  }
}

}  // namespace weir::quant
