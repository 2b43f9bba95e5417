// Algorithms written once over a vector type V (scalar::Vec, avx2::Vec, avx512::Vec) and compiled
// in each ISA folder with its flags. Everything here must be a template over V or internal to it:
// an inline function that two ISA folders share would be merged by the linker, possibly to the
// version this machine cannot run; the same holds for std:: helpers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::kernels::generic {

// exp(x): 2^n * p(r) with n = round(x / ln 2), p the degree-6 Taylor-like minimax polynomial of
// Cephes expf (Moshier) on
// [-ln2/2, ln2/2]. Relative error below kExpMaxRelativeError. Below ln(2^-126) the result is 0,
// above 88 it stays at about 1.7e38; NaN stays NaN.
template <typename V>
inline V exp(V x) {
  const V low = V::set(-87.33654F);
  const V clamped = min(V::set(88.0F), max(low, x));
  const V n = round(clamped * V::set(1.44269504F));
  V r = fma(n, V::set(-0.693359375F), clamped);
  r = fma(n, V::set(2.12194440e-4F), r);
  V p = V::set(1.9875691500e-4F);
  p = fma(p, r, V::set(1.3981999507e-3F));
  p = fma(p, r, V::set(8.3334519073e-3F));
  p = fma(p, r, V::set(4.1665795894e-2F));
  p = fma(p, r, V::set(1.6666665459e-1F));
  p = fma(p, r, V::set(5.0000001201e-1F));
  p = fma(p, r * r, r) + V::set(1.0F);
  return zero_if_less(x, low, scale_pow2(p, n));
}

template <typename V>
inline V silu(V x) {
  return x / (V::set(1.0F) + exp(V::zero() - x));
}

// tanh(x) = 1 - 2 / (exp(2x) + 1), as softcap wants it: absolute error below 3e-7.
template <typename V>
inline V tanh(V x) {
  return V::set(1.0F) - V::set(2.0F) / (exp(x + x) + V::set(1.0F));
}

}  // namespace weir::kernels::generic
