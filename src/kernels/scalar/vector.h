// Vec of one float: the reference that the vector ISAs are tested against. Who compiles what over
// it: generic/math.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/half.h"

namespace weir::kernels::scalar {

struct Vec {
  static constexpr size_t kWidth = 1;
  static constexpr size_t kTileVecs = 4;  // register tile of attention: vectors
  static constexpr size_t kTileRows = 1;  // and rows
  float v;

  static Vec zero() { return {0.0F}; }
  static Vec set(float x) { return {x}; }
  static Vec load(const float* p) { return {*p}; }
  static Vec load_n(const float* p, size_t n) { return {n > 0 ? *p : 0.0F}; }
  static Vec load_f16(const uint16_t* p) { return {quant::f16_to_f32(*p)}; }
  static Vec load_bf16(const uint16_t* p) { return {quant::bf16_to_f32(*p)}; }
  // Lanes from int8, and from the low or high nibbles of bytes, minus 8.
  static Vec load_i8(const std::byte* p) { return {static_cast<float>(static_cast<int8_t>(*p))}; }
  template <bool High>
  static Vec load_nibbles(const std::byte* p) {
    return {static_cast<float>((static_cast<int>(*p) >> (High ? 4 : 0) & 15) - 8)};
  }
  // All lanes from one f16.
  static Vec set_f16(uint16_t x) { return {quant::f16_to_f32(x)}; }
  void store(float* p) const { *p = v; }
  void store_n(float* p, size_t n) const {
    if (n > 0) *p = v;
  }
  void store_f16(uint16_t* p) const { *p = quant::f32_to_f16(v); }
  // Integral lanes in [-128, 127] as int8.
  void store_codes(int8_t* p) const { *p = static_cast<int8_t>(v); }
  // A block of integral lanes in [-128, 127] as int8, and the sums of its halves.
  static void store_code_block(const Vec* block, int8_t* codes, int32_t* half) {
    half[0] = half[1] = 0;
    for (size_t i = 0; i < 32; ++i) {
      codes[i] = static_cast<int8_t>(block[i].v);
      half[i / 16] += codes[i];
    }
  }
  // butterfly<H>() of the vector ISAs: lanes i and i + H become their sum and their difference, for
  // every i without bit H; H a power of two below kWidth, so there is none here.
  friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
  friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
  friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
  friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
  // a * b + c; unfused here, fused in the vector ISAs.
  friend Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
  // The second operand when either is NaN.
  friend Vec max(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
  friend Vec min(Vec a, Vec b) { return {a.v < b.v ? a.v : b.v}; }
  friend Vec abs(Vec a) { return {__builtin_fabsf(a.v)}; }
  friend Vec round(Vec a) { return {__builtin_rintf(a.v)}; }
  // x * 2^n for integral n in [-126, 127].
  friend Vec scale_pow2(Vec x, Vec n) {
    if (!(n.v >= -126.0F && n.v <= 127.0F)) return x;  // NaN
    return {x.v * __builtin_bit_cast(float, static_cast<uint32_t>(static_cast<int32_t>(n.v) + 127)
                                                << 23)};
  }
  // x where a < b, else 0 (also for NaN in a or b: x).
  friend Vec zero_if_less(Vec a, Vec b, Vec x) { return {a.v < b.v ? 0.0F : x.v}; }
  // lanes [lo, hi) of x, the others -infinity.
  friend Vec keep_lanes(Vec x, size_t lo, size_t hi) {
    return {lo == 0 && hi > 0 ? x.v : -__builtin_inff()};
  }
  // The greater of |x| and top, which has no sign; a NaN is greater than all (compared as bits).
  friend Vec max_magnitude(Vec x, Vec top) {
    const auto bits = __builtin_bit_cast(uint32_t, x.v) & 0x7fffffffU;
    return bits > __builtin_bit_cast(uint32_t, top.v) ? Vec{__builtin_bit_cast(float, bits)} : top;
  }
  friend float reduce_magnitude(Vec a) { return a.v; }
  friend float reduce_add(Vec a) { return a.v; }
  friend float reduce_max(Vec a) { return a.v; }
};

}  // namespace weir::kernels::scalar
