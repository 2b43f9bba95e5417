#include "kernels/block_readers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/half.h"

namespace weir::kernels {
namespace {

using gguf::TensorType;

constexpr size_t kHalf = kBlock / 2;
constexpr size_t kQ2KBytes = 84;
constexpr size_t kQ3KBytes = 110;
constexpr size_t kQ4KBytes = 144;
constexpr size_t kQ5KBytes = 176;
constexpr size_t kQ6KBytes = 210;
constexpr size_t kIq4XsBytes = 136;

uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

const uint8_t* bytes_at(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }

// f16 of a scale that a product or a division made. False when it does not fit.
bool to_scale(float value, uint16_t* half) {
  *half = quant::f32_to_f16(value);
  return (*half & 0x7c00) != 0x7c00;
}

bool read_q4_0(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b * 18;
  block->scale = load_u16(p);
  std::memcpy(block->codes, p + 2, kHalf);
  return true;
}

bool read_q4_1(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b * 20;
  block->scale = load_u16(p);
  block->min = load_u16(p + 2);
  std::memcpy(block->codes, p + 4, kHalf);
  return true;
}

bool read_q8_0(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b * 34;
  block->scale = load_u16(p);
  std::memcpy(block->codes, p + 2, kBlock);
  return true;
}

// 32 fifth bits, then 16 pairs of nibbles.
void read_five_bits(const std::byte* p, Block* block) {
  uint32_t high;
  std::memcpy(&high, p, sizeof high);
  const uint8_t* pairs = bytes_at(p + 4);
  for (size_t k = 0; k < kBlock; ++k) {
    const unsigned low = k < kHalf ? pairs[k] & 15U : pairs[k - kHalf] >> 4U;
    block->codes[k] = static_cast<uint8_t>(low | (high >> k & 1U) << 4);
  }
}

bool read_q5_0(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b * 22;
  block->scale = load_u16(p);
  read_five_bits(p + 2, block);
  return true;
}

bool read_q5_1(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b * 24;
  block->scale = load_u16(p);
  block->min = load_u16(p + 2);
  read_five_bits(p + 4, block);
  return true;
}

// D, and M = -dmin; dmin may be nullptr.
void set_super(const std::byte* d, const std::byte* dmin, Block* block) {
  block->scale = load_u16(d);
  if (dmin != nullptr) block->min = load_u16(dmin) ^ 0x8000;
}

// The scale and min of block i of 8 in Q4_K and Q5_K: 6 bits each in 12 bytes, as
// get_scale_min_k4 of ggml lays them out; p: d, dmin, then those.
void k_scale_min(const std::byte* p, size_t i, Block* block) {
  const uint8_t* packed = bytes_at(p + 4);
  unsigned scale;
  unsigned min;
  if (i < 4) {
    scale = packed[i] & 63U;
    min = packed[i + 4] & 63U;
  } else {
    scale = (packed[i + 4] & 15U) | (packed[i - 4] >> 6U) << 4;
    min = packed[i + 4] >> 4U | (packed[i] >> 6U) << 4;
  }
  set_super(p, p + 2, block);
  block->scales[0] = static_cast<int8_t>(scale);
  block->mins[0] = static_cast<int8_t>(min);
}

bool read_q4_k(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kQ4KBytes;
  const size_t i = b % 8;
  const uint8_t* codes = bytes_at(p + 16 + i / 2 * 32);
  const unsigned shift = i % 2 == 0 ? 0 : 4;
  for (size_t k = 0; k < kHalf; ++k) {
    const unsigned low = (codes[k] >> shift) & 15U;
    const unsigned high = (codes[k + kHalf] >> shift) & 15U;
    block->codes[k] = static_cast<uint8_t>(low | high << 4);
  }
  k_scale_min(p, i, block);
  return true;
}

// As Q4_K, with 32 bytes of fifth bits before the codes: bit i for block i.
bool read_q5_k(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kQ5KBytes;
  const size_t i = b % 8;
  const uint8_t* high = bytes_at(p + 16);
  const uint8_t* codes = bytes_at(p + 48 + i / 2 * 32);
  const unsigned shift = i % 2 == 0 ? 0 : 4;
  for (size_t k = 0; k < kBlock; ++k) {
    const unsigned low = (codes[k] >> shift) & 15U;
    block->codes[k] = static_cast<uint8_t>(low | (high[k] >> i & 1U) << 4);
  }
  k_scale_min(p, i, block);
  return true;
}

// 128 bytes of low nibbles, 64 of high pairs, 16 signed scales of 16 weights each, d. A half of 128
// weights has four quarters of 32.
bool read_q6_k(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kQ6KBytes;
  const size_t n = b % 8 / 4;
  const size_t quarter = b % 4;
  const uint8_t* low = bytes_at(p + 64 * n + quarter % 2 * 32);
  const uint8_t* high = bytes_at(p + 128 + 32 * n);
  const unsigned shift = quarter < 2 ? 0 : 4;
  for (size_t k = 0; k < kBlock; ++k) {
    block->codes[k] =
        static_cast<uint8_t>(((low[k] >> shift) & 15U) | ((high[k] >> 2 * quarter) & 3U) << 4);
  }
  std::memcpy(block->scales, p + 192 + 2 * (b % 8), 2);
  set_super(p + 208, nullptr, block);
  return true;
}

// 32 bytes of third bits (bit i for block i), 64 of low pairs, 16 scales of 6 bits less 32 in 12
// bytes, d.
bool read_q3_k(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kQ3KBytes;
  const size_t i = b % 8;
  const uint8_t* high = bytes_at(p);
  const uint8_t* low = bytes_at(p + 32 + i / 4 * 32);
  for (size_t k = 0; k < kBlock; ++k) {
    block->codes[k] =
        static_cast<uint8_t>(((low[k] >> 2 * (i % 4)) & 3U) | (high[k] >> i & 1U) << 2);
  }
  const uint8_t* packed = bytes_at(p + 96);
  for (size_t h = 0; h < 2; ++h) {
    const size_t s = 2 * i + h;
    const unsigned four = s < 8 ? packed[s] & 15U : packed[s - 8] >> 4U;
    const unsigned two = (packed[8 + s % 4] >> 2 * (s / 4)) & 3U;
    block->scales[h] = static_cast<int8_t>(static_cast<int>(four | two << 4) - 32);
  }
  set_super(p + 108, nullptr, block);
  return true;
}

// 16 bytes of scale and min nibbles, 64 of codes, d, dmin.
bool read_q2_k(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kQ2KBytes;
  const size_t i = b % 8;
  const uint8_t* codes = bytes_at(p + 16 + i / 4 * 32);
  for (size_t k = 0; k < kBlock; ++k)
    block->codes[k] = static_cast<uint8_t>((codes[k] >> 2 * (i % 4)) & 3U);
  for (size_t h = 0; h < 2; ++h) {
    const unsigned both = bytes_at(p)[2 * i + h];
    block->scales[h] = static_cast<int8_t>(both & 15U);
    block->mins[h] = static_cast<int8_t>(both >> 4U);
  }
  set_super(p + 80, p + 82, block);
  return true;
}

// Block b of a row of IQ4_XS: 8 blocks of 32 with 6-bit scales, low nibbles first, then pairs of
// high bits (block_iq4_xs of ggml).
bool read_iq4_xs(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b / 8 * kIq4XsBytes;
  const size_t i = b % 8;
  const unsigned low = std::to_integer<unsigned>(p[4 + i / 2]) >> (i % 2 * 4) & 15U;
  const unsigned high = static_cast<unsigned>(load_u16(p + 2)) >> (2 * i) & 3U;
  std::memcpy(block->codes, p + 8 + i * (kBlock / 2), kBlock / 2);
  const float scale = static_cast<float>(static_cast<int>(low | high << 4) - 32);
  return to_scale(quant::f16_to_f32(load_u16(p)) * scale, &block->scale);
}

// Block b of a row of MXFP4. Its scale is a power of two; below 2^-24, the least of f16, it counts
// as 0.
bool read_mxfp4(const std::byte* row, size_t b, Block* block) {
  const std::byte* p = row + b * 17;
  std::memcpy(block->codes, p + 1, kBlock / 2);
  // 2^(e - 127), halved because the values of the codes are doubled.
  return to_scale(std::ldexp(1.0F, std::to_integer<int>(p[0]) - 128), &block->scale);
}

}  // namespace

BlockReader block_reader(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
    case TensorType::kIQ4_NL:
      return read_q4_0;
    case TensorType::kQ4_1:
      return read_q4_1;
    case TensorType::kQ5_0:
      return read_q5_0;
    case TensorType::kQ5_1:
      return read_q5_1;
    case TensorType::kQ8_0:
      return read_q8_0;
    case TensorType::kQ2_K:
      return read_q2_k;
    case TensorType::kQ3_K:
      return read_q3_k;
    case TensorType::kQ4_K:
      return read_q4_k;
    case TensorType::kQ5_K:
      return read_q5_k;
    case TensorType::kQ6_K:
      return read_q6_k;
    case TensorType::kIQ4_XS:
      return read_iq4_xs;
    case TensorType::kMXFP4:
      return read_mxfp4;
    default:
      return nullptr;
  }
}

bool round_to_q8(const float* x, Block* block) {
  float amax = 0.0F;
  for (size_t k = 0; k < kBlock; ++k) {
    if (!std::isfinite(x[k])) return false;
    amax = std::max(amax, std::fabs(x[k]));
  }
  if (!to_scale(amax / 127.0F, &block->scale)) return false;
  // The codes are for the scale that the kernel will read, after its rounding to f16.
  const float scale = quant::f16_to_f32(block->scale);
  for (size_t k = 0; k < kBlock; ++k) {
    const float code = scale > 0.0F ? std::nearbyint(x[k] / scale) : 0.0F;
    block->codes[k] = static_cast<uint8_t>(static_cast<int8_t>(std::clamp(code, -127.0F, 127.0F)));
  }
  return true;
}

}  // namespace weir::kernels
