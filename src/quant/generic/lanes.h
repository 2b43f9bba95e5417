// Vectors of W floats by the compilers' vector extension, which every file of a wider instruction
// set instantiates with its own W. No function of the standard library is called in here: its code
// would be shared with the rest of the program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/search.h"

namespace weir::quant::generic {

template <size_t W>
struct Lanes {
  typedef float F __attribute__((vector_size(W * sizeof(float))));
  typedef int32_t I __attribute__((vector_size(W * sizeof(int32_t))));

  static F set(float value) { return F{} + value; }
  static F load(const float* from) {
    F out;
    __builtin_memcpy(&out, from, sizeof out);
    return out;
  }
  static void store(F value, float* to) { __builtin_memcpy(to, &value, sizeof value); }
  static F min(F a, F b) { return a < b ? a : b; }
  static F max(F a, F b) { return a > b ? a : b; }
  static F abs(F a) { return a < F{} ? -a : a; }
  // To nearest even, for |a| < 2^22.
  static F round(F a) {
#if defined(__AVX2__)
    // The same numbers in one operation, but for the sign of zero.
    if constexpr (W == 8) {
      typedef float F8 __attribute__((vector_size(32)));
      F8 whole;
      __builtin_memcpy(&whole, &a, sizeof whole);
      whole = __builtin_ia32_roundps256(whole, 0);
      __builtin_memcpy(&a, &whole, sizeof whole);
      return a;
    }
#endif
    const F magic = set(12582912.0F);  // 1.5 * 2^23: the sum has no bits after the point
    return (a + magic) - magic;
  }
  static F sqrt(F a) {
    float at[W];
    store(a, at);
    for (size_t i = 0; i < W; ++i) at[i] = __builtin_sqrtf(at[i]);
    return load(at);
  }
  // 0 for 0.
  static F reciprocal(F a) {
    const I zero = a == F{};
    return zero ? F{} : set(1.0F) / (zero ? set(1.0F) : a);
  }
};

}  // namespace weir::quant::generic
