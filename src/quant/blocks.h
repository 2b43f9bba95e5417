// One block of each format: bytes ↔ values. Internal to quant/; users take codec.h.
// Layouts: ggml-common.h (block_q4_0 …); arithmetic and its order: gguf.quants of the Python
// package `gguf`. Scales are little-endian f16. No fused multiply-add anywhere (the build sets
// -ffp-contract=off).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quant/half.h"

namespace weir::quant {

inline uint16_t load_u16(const std::byte* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline uint32_t load_u32(const std::byte* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline void store_u16(std::byte* at, uint16_t value) { std::memcpy(at, &value, sizeof value); }

inline float load_f16(const std::byte* at) { return f16_to_f32(load_u16(at)); }

// 32 values. Codes of value i and i + 16 share a byte, the low nibble first.
void decode_q4_0(const std::byte* src, float* dst);  // d f16, 16 bytes of codes: d · (q − 8)
void decode_q4_1(const std::byte* src, float* dst);  // d, m f16, 16 bytes: d · q + m
void decode_q5_0(const std::byte* src,
                 float* dst);  // d f16, 4 bytes of fifth bits, 16 bytes: d · (q − 16)
void decode_q5_1(const std::byte* src, float* dst);  // d, m f16, 4 bytes, 16 bytes: d · q + m
void decode_q8_0(const std::byte* src, float* dst);  // d f16, 32 int8: q · d

// 256 values.
void decode_q2_k(const std::byte* src,
                 float* dst);  // 16 scale/min nibbles, 64 bytes of codes, d, dmin f16
void decode_q3_k(const std::byte* src,
                 float* dst);  // 32 bytes of high bits, 64 of codes, 12 of 6-bit scales, d
void decode_q4_k(const std::byte* src,
                 float* dst);  // d, dmin f16, 12 bytes of 6-bit scales/mins, 128 of codes
void decode_q5_k(const std::byte* src,
                 float* dst);  // as Q4_K with 32 bytes of fifth bits before the codes
void decode_q6_k(const std::byte* src,
                 float* dst);  // 128 low nibbles, 64 of high bits, 16 int8 scales, d

// 256 values; d f16 (in IQ1_M cut into four nibbles). The rows of a codebook stand in codebooks.h.
void decode_iq2_xxs(const std::byte* src, float* dst);  // d, 8 x (4 codes, 4 x 7 signs, 4 scale)
void decode_iq2_xs(const std::byte* src, float* dst);   // d, 32 x (9 code, 7 signs), 16 nibbles
void decode_iq2_s(const std::byte* src, float* dst);  // d, 32 codes, 32 signs, 8 high bits, scales
void decode_iq3_xxs(const std::byte* src, float* dst);  // d, 64 codes, 8 x (4 x 7 signs, 4 scale)
void decode_iq3_s(const std::byte* src, float* dst);  // d, 64 codes, 8 high bits, 32 signs, scales
void decode_iq1_s(const std::byte* src,
                  float* dst);  // d, 32 codes, 8 x (4 x 3 high, 3 scale, sign)
void decode_iq1_m(const std::byte* src, float* dst);   // 32 codes, 16 x (high, sign), 4 x scales
void decode_iq4_xs(const std::byte* src, float* dst);  // d, 2 + 4 bytes of scales, 128 of codes
void decode_tq1_0(const std::byte* src, float* dst);   // 52 bytes of ternary digits, d
void decode_tq2_0(const std::byte* src, float* dst);   // 64 bytes of 2-bit codes, d

// 32 values.
void decode_iq4_nl(const std::byte* src, float* dst);  // d f16, 16 bytes of codes
void decode_mxfp4(const std::byte* src, float* dst);   // power of two, 16 bytes of codes
// 64 values.
void decode_nvfp4(const std::byte* src, float* dst);  // 4 scales in E4M3, 4 x 8 bytes of codes

// What became of a block: its values are finite, and its scales (and min) fit f16; else the index
// of the culprit.
struct EncodeFault {
  enum class Kind { kNone, kNotFinite, kTooLarge } kind = Kind::kNone;
  size_t index = 0;
};
EncodeFault encode_q4_0(const float* src, std::byte* dst);
EncodeFault encode_q4_1(const float* src, std::byte* dst);
EncodeFault encode_q8_0(const float* src, std::byte* dst);

}  // namespace weir::quant
