// The formats with 32 values a block.
#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/blocks.h"

namespace weir::quant {

namespace {

constexpr size_t kBlock = 32;
constexpr size_t kHalf = kBlock / 2;

int low(std::byte b) { return std::to_integer<int>(b & std::byte{0x0f}); }
int high(std::byte b) { return std::to_integer<int>(b >> 4); }

int fifth_bit(uint32_t bits, size_t i) { return static_cast<int>((bits >> i) & 1u) << 4; }

// The first value that is NaN or infinite, or kBlock.
size_t first_not_finite(const float* src) {
  size_t i = 0;
  while (i < kBlock && std::isfinite(src[i])) ++i;
  return i;
}

// The index of the first value with the largest magnitude.
size_t largest(const float* src) {
  size_t at = 0;
  for (size_t i = 1; i < kBlock; ++i) {
    if (std::fabs(src[i]) > std::fabs(src[at])) at = i;
  }
  return at;
}

bool overflows_f16(float value) { return (f32_to_f16(value) & 0x7fffu) >= 0x7c00u; }

// Truncation to an integer as x86 does it: what does not fit gives 0 (in the low byte). It happens
// when the block's scale is so small that its reciprocal is infinite.
int truncate(float value) {
  if (!(std::fabs(value) < 0x1p31f)) return 0;
  return static_cast<int>(value);
}

// As std::round: halves away from zero, for |x| < 2^22; without a call into libm, of which one for
// each value took 40 % of the time of --load-type q8_0.
int round_away(float x) {
  const int whole = static_cast<int>(x);
  const float rest = x - static_cast<float>(whole);  // exact
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

float reciprocal(float d) { return d == 0.0f ? 0.0f : 1.0f / d; }

void pack_nibbles(const uint8_t* codes, std::byte* dst) {
  for (size_t i = 0; i < kHalf; ++i) {
    dst[i] = static_cast<std::byte>(codes[i] | (codes[i + kHalf] << 4));
  }
}

}  // namespace

void decode_q4_0(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < kHalf; ++i) {
    dst[i] = d * static_cast<float>(low(src[2 + i]) - 8);
    dst[i + kHalf] = d * static_cast<float>(high(src[2 + i]) - 8);
  }
}

void decode_q4_1(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  const float m = load_f16(src + 2);
  for (size_t i = 0; i < kHalf; ++i) {
    dst[i] = d * static_cast<float>(low(src[4 + i])) + m;
    dst[i + kHalf] = d * static_cast<float>(high(src[4 + i])) + m;
  }
}

void decode_q5_0(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  const uint32_t bits = load_u32(src + 2);
  for (size_t i = 0; i < kHalf; ++i) {
    dst[i] = d * static_cast<float>((low(src[6 + i]) | fifth_bit(bits, i)) - 16);
    dst[i + kHalf] = d * static_cast<float>((high(src[6 + i]) | fifth_bit(bits, i + kHalf)) - 16);
  }
}

void decode_q5_1(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  const float m = load_f16(src + 2);
  const uint32_t bits = load_u32(src + 4);
  for (size_t i = 0; i < kHalf; ++i) {
    dst[i] = d * static_cast<float>(low(src[8 + i]) | fifth_bit(bits, i)) + m;
    dst[i + kHalf] = d * static_cast<float>(high(src[8 + i]) | fifth_bit(bits, i + kHalf)) + m;
  }
}

void decode_q8_0(const std::byte* src, float* dst) {
  const float d = load_f16(src);
  for (size_t i = 0; i < kBlock; ++i) {
    dst[i] = static_cast<float>(static_cast<int8_t>(src[2 + i])) * d;
  }
}

EncodeFault encode_q4_0(const float* src, std::byte* dst) {
  const size_t bad = first_not_finite(src);
  if (bad < kBlock) return {EncodeFault::Kind::kNotFinite, bad};
  const size_t at = largest(src);
  const float d = src[at] / -8.0f;
  if (overflows_f16(d)) return {EncodeFault::Kind::kTooLarge, at};
  const float id = reciprocal(d);
  uint8_t codes[kBlock];
  for (size_t i = 0; i < kBlock; ++i) {
    codes[i] = static_cast<uint8_t>(std::clamp(truncate(src[i] * id + 8.5f), 0, 15));
  }
  store_u16(dst, f32_to_f16(d));
  pack_nibbles(codes, dst + 2);
  return {};
}

EncodeFault encode_q4_1(const float* src, std::byte* dst) {
  const size_t bad = first_not_finite(src);
  if (bad < kBlock) return {EncodeFault::Kind::kNotFinite, bad};
  const float max = *std::max_element(src, src + kBlock);
  const float min = *std::min_element(src, src + kBlock);
  const float d = (max - min) / 15.0f;
  if (overflows_f16(d) || overflows_f16(min)) return {EncodeFault::Kind::kTooLarge, largest(src)};
  const float id = reciprocal(d);
  uint8_t codes[kBlock];
  for (size_t i = 0; i < kBlock; ++i) {
    codes[i] = static_cast<uint8_t>(std::clamp(truncate((src[i] - min) * id + 0.5f), 0, 15));
  }
  store_u16(dst, f32_to_f16(d));
  store_u16(dst + 2, f32_to_f16(min));
  pack_nibbles(codes, dst + 4);
  return {};
}

// The largest magnitude as bits: without their sign floats compare as integers, and infinities and
// NaNs are the largest.
int32_t largest_bits(const float* src) {
  int32_t most = 0;
  for (size_t i = 0; i < kBlock; ++i)
    most = std::max(most, std::bit_cast<int32_t>(src[i]) & 0x7fffffff);
  return most;
}

EncodeFault encode_q8_0(const float* src, std::byte* dst) {
  const int32_t most = largest_bits(src);
  if (most >= 0x7f800000) return {EncodeFault::Kind::kNotFinite, first_not_finite(src)};
  const float d = std::bit_cast<float>(most) / 127.0f;
  if (overflows_f16(d)) return {EncodeFault::Kind::kTooLarge, largest(src)};
  const float id = reciprocal(d);
  store_u16(dst, f32_to_f16(d));
  if (!std::isfinite(id)) {
    for (size_t i = 0; i < kBlock; ++i)
      dst[2 + i] = static_cast<std::byte>(truncate(std::round(src[i] * id)));
    return {};
  }
  // |x · id| ≤ 127 up to rounding, so the byte never wraps.
  int32_t codes[kBlock];  // in a loop of its own, which becomes vectors
  for (size_t i = 0; i < kBlock; ++i) codes[i] = round_away(src[i] * id);
  for (size_t i = 0; i < kBlock; ++i) dst[2 + i] = static_cast<std::byte>(codes[i]);
  return {};
}

}  // namespace weir::quant
