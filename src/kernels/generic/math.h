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

// x Phi(x) with the tanh approximation of Phi: 0.5 (1 + tanh u) = 1 - 1 / (exp(2u) + 1).
template <typename V>
inline V gelu_tanh(V x) {
  const V u = x * fma(x * x, V::set(0.044715F * 0.7978845608F), V::set(0.7978845608F));
  return x - x / (exp(u + u) + V::set(1.0F));
}

// x Phi(x); 1 - Phi(|x|) by Abramowitz and Stegun 7.1.26.
template <typename V>
inline V gelu(V x) {
  const V z = abs(x) * V::set(0.70710678F);
  const V t = V::set(1.0F) / fma(z, V::set(0.3275911F), V::set(1.0F));
  V p = V::set(1.061405429F);
  p = fma(p, t, V::set(-1.453152027F));
  p = fma(p, t, V::set(1.421413741F));
  p = fma(p, t, V::set(-0.284496736F));
  p = fma(p, t, V::set(0.254829592F));
  const V tail = V::set(0.5F) * p * t * exp(V::zero() - z * z);
  return x * (tail + zero_if_less(x, V::zero(), V::set(1.0F) - tail - tail));
}

// The gate of gpt-oss (its published modelling code).
template <typename V>
inline V swiglu_oai(V gate, V up) {
  const V g = min(gate, V::set(7.0F));
  const V u = max(min(up, V::set(7.0F)), V::set(-7.0F));
  return g / (V::set(1.0F) + exp(V::set(-1.702F) * g)) * (u + V::set(1.0F));
}

}  // namespace weir::kernels::generic
