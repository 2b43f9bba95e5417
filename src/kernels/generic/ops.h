// The row operators of table.h over V. Tails go through the same vector code with the missing lanes
// at zero.
#pragma once

#include "kernels/generic/math.h"
#include "kernels/ops.h"

namespace weir::kernels::generic {

// Calls body(i, n) for vectors of n <= width values from index i; full vectors get n == width.
template <typename V, typename F>
inline void for_vectors(size_t n, F&& body) {
  size_t i = 0;
  for (; i + V::kWidth <= n; i += V::kWidth) body(i, V::kWidth);
  if (i < n) body(i, n - i);
}

template <typename V>
float dot(const float* a, const float* b, size_t n) {
  V s0 = V::zero();
  V s1 = V::zero();
  V s2 = V::zero();
  V s3 = V::zero();
  constexpr size_t w = V::kWidth;
  size_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    s0 = fma(V::load(a + i), V::load(b + i), s0);
    s1 = fma(V::load(a + i + w), V::load(b + i + w), s1);
    s2 = fma(V::load(a + i + 2 * w), V::load(b + i + 2 * w), s2);
    s3 = fma(V::load(a + i + 3 * w), V::load(b + i + 3 * w), s3);
  }
  for (; i + w <= n; i += w) s0 = fma(V::load(a + i), V::load(b + i), s0);
  if (i < n) s1 = fma(V::load_n(a + i, n - i), V::load_n(b + i, n - i), s1);
  return reduce_add((s0 + s1) + (s2 + s3));
}

template <typename V>
void rms_norm_row(const float* x, size_t cols, const float* weight, float epsilon, float* y) {
  const float mean = dot<V>(x, x, cols) / static_cast<float>(cols);
  const V scale = V::set(1.0F / __builtin_sqrtf(mean + epsilon));
  for_vectors<V>(cols, [&](size_t i, size_t n) {
    if (n == V::kWidth) {
      (V::load(x + i) * scale * V::load(weight + i)).store(y + i);
    } else {
      (V::load_n(x + i, n) * scale * V::load_n(weight + i, n)).store_n(y + i, n);
    }
  });
}

// (x - mean) / sqrt(variance + epsilon) * weight (+ bias).
template <typename V>
void layer_norm_row(const float* x, size_t cols, const float* weight, const float* bias,
                    float epsilon, float* y) {
  V sum = V::zero();
  for_vectors<V>(cols, [&](size_t i, size_t n) { sum = sum + V::load_n(x + i, n); });
  const V mean = V::set(reduce_add(sum) / static_cast<float>(cols));
  for_vectors<V>(cols, [&](size_t i, size_t n) { (V::load_n(x + i, n) - mean).store_n(y + i, n); });
  const float variance = dot<V>(y, y, cols) / static_cast<float>(cols);
  const V scale = V::set(1.0F / __builtin_sqrtf(variance + epsilon));
  for_vectors<V>(cols, [&](size_t i, size_t n) {
    V v = V::load_n(y + i, n) * scale * V::load_n(weight + i, n);
    if (bias != nullptr) v = v + V::load_n(bias + i, n);
    v.store_n(y + i, n);
  });
}

template <typename V, typename F>
void gate_with(const float* gate, const float* up, size_t count, float* y, F f) {
  for_vectors<V>(count, [&](size_t i, size_t n) {
    if (n == V::kWidth) {
      f(V::load(gate + i), V::load(up + i)).store(y + i);
    } else {
      f(V::load_n(gate + i, n), V::load_n(up + i, n)).store_n(y + i, n);
    }
  });
}

template <typename V>
void gate(Activation activation, const float* gate, const float* up, size_t n, float* y) {
  switch (activation) {
    case Activation::kSilu:
      return gate_with<V>(gate, up, n, y, [](V g, V u) { return silu(g) * u; });
    case Activation::kGeluTanh:
      return gate_with<V>(gate, up, n, y, [](V g, V u) { return gelu_tanh(g) * u; });
    case Activation::kGelu:
      return gate_with<V>(gate, up, n, y, [](V g, V u) { return gelu(g) * u; });
    case Activation::kSwigluOai:
      return gate_with<V>(gate, up, n, y, [](V g, V u) { return swiglu_oai(g, u); });
  }
}

template <typename V, typename F>
void map_row(float* x, size_t count, F f) {
  for_vectors<V>(count, [&](size_t i, size_t n) { f(V::load_n(x + i, n)).store_n(x + i, n); });
}

template <typename V>
void activate(Activation activation, float* x, size_t n) {
  if (activation == Activation::kSilu) return map_row<V>(x, n, [](V v) { return silu(v); });
  if (activation == Activation::kGelu) return map_row<V>(x, n, [](V v) { return gelu(v); });
  map_row<V>(x, n, [](V v) { return gelu_tanh(v); });
}

template <typename V>
void scale(float factor, float* x, size_t n) {
  map_row<V>(x, n, [&](V v) { return v * V::set(factor); });
}

template <typename V>
void softcap(float cap, float* x, size_t n) {
  map_row<V>(x, n, [&](V v) { return tanh(v * V::set(1.0F / cap)) * V::set(cap); });
}

template <typename V>
void add(const float* x, size_t count, float* y) {
  for_vectors<V>(count, [&](size_t i, size_t n) {
    if (n == V::kWidth) {
      (V::load(y + i) + V::load(x + i)).store(y + i);
    } else {
      (V::load_n(y + i, n) + V::load_n(x + i, n)).store_n(y + i, n);
    }
  });
}

template <typename V>
void softmax(float* x, size_t count) {
  V top = V::set(-__builtin_inff());
  for (size_t i = 0; i < count; ++i) top = max(V::set(x[i]), top);
  V sum = V::zero();
  for_vectors<V>(count, [&](size_t i, size_t n) {
    const V e = exp(keep_lanes(V::load_n(x + i, n), 0, n) - top);
    e.store_n(x + i, n);
    sum = sum + e;
  });
  const V scale = V::set(1.0F / reduce_add(sum));
  for_vectors<V>(count,
                 [&](size_t i, size_t n) { (V::load_n(x + i, n) * scale).store_n(x + i, n); });
}

constexpr size_t kSumBlock = 1024;  // values whose sum stays in single precision

template <typename V>
double exp_sum(const float* x, size_t count, float max) {
  double sum = 0;
  for (size_t at = 0; at < count; at += kSumBlock) {
    const size_t block = count - at < kSumBlock ? count - at : kSumBlock;
    V part = V::zero();
    for_vectors<V>(block, [&](size_t i, size_t n) {
      part = part + exp(keep_lanes(V::load_n(x + at + i, n), 0, n) - V::set(max));
    });
    sum += static_cast<double>(reduce_add(part));
  }
  return sum;
}

template <typename V>
MassAndGap mass_and_gap(const float* log_p, float floor, const float* y, float shift,
                        size_t count) {
  MassAndGap sum;
  // The lanes at or below the floor weigh nothing; their log p is raised so that no infinity is
  // multiplied by that.
  const V lowest = V::set(-100.0F);
  for (size_t at = 0; at < count; at += kSumBlock) {
    const size_t block = count - at < kSumBlock ? count - at : kSumBlock;
    V mass = V::zero();
    V gap = V::zero();
    for_vectors<V>(block, [&](size_t i, size_t n) {
      const V p = max(lowest, keep_lanes(V::load_n(log_p + at + i, n), 0, n));
      const V weight = exp(p) - zero_if_less(V::set(floor), p, exp(p));
      mass = mass + weight;
      gap = fma(weight, p - (V::load_n(y + at + i, n) - V::set(shift)), gap);
    });
    sum.mass += static_cast<double>(reduce_add(mass));
    sum.gap += static_cast<double>(reduce_add(gap));
  }
  return sum;
}

template <typename V>
size_t argmax(const float* x, size_t count) {
  V top = V::set(-__builtin_inff());
  // NaN never enters: max returns its second operand when the first is NaN.
  for_vectors<V>(
      count, [&](size_t i, size_t n) { top = max(keep_lanes(V::load_n(x + i, n), 0, n), top); });
  const float best = reduce_max(top);
  for (size_t i = 0; i < count; ++i) {
    if (x[i] == best) return i;
  }
  return 0;
}

template <typename V>
void rope_row(float* x, size_t heads, size_t head_dim, size_t dims, RopeStyle style,
              const float* cos, const float* sin) {
  const size_t half = dims / 2;
  for (size_t h = 0; h < heads; ++h, x += head_dim) {
    if (style == RopeStyle::kHalves) {
      for_vectors<V>(half, [&](size_t i, size_t n) {
        const V a = V::load_n(x + i, n);
        const V b = V::load_n(x + half + i, n);
        const V c = V::load_n(cos + i, n);
        const V s = V::load_n(sin + i, n);
        (a * c - b * s).store_n(x + i, n);
        (a * s + b * c).store_n(x + half + i, n);
      });
    } else {
      for (size_t i = 0; i < half; ++i) {
        const float a = x[2 * i];
        const float b = x[2 * i + 1];
        x[2 * i] = a * cos[i] - b * sin[i];
        x[2 * i + 1] = a * sin[i] + b * cos[i];
      }
    }
  }
}

// x rounded to f16 at y + i * stride.
template <typename V>
void to_f16(const float* x, size_t count, uint16_t* y, size_t stride) {
  uint16_t lanes[V::kWidth];
  for_vectors<V>(count, [&](size_t i, size_t n) {
    V::load_n(x + i, n).store_f16(lanes);
    for (size_t j = 0; j < n; ++j) y[(i + j) * stride] = lanes[j];
  });
}

}  // namespace weir::kernels::generic
