#include "kernels/ops.h"

#include <algorithm>
#include <cmath>

#include "kernels/function_ref.h"
#include "kernels/table.h"

namespace weir::kernels {
namespace {

// A region costs about a microsecond, the time of some 8192 values.
constexpr size_t kParallelValues = 8192;

void for_rows(ThreadPool& pool, size_t rows, size_t cols, FunctionRef<void(size_t row)> body) {
  if (rows * cols < 2 * kParallelValues) {
    for (size_t r = 0; r < rows; ++r) body(r);
    return;
  }
  const size_t step = std::max<size_t>(1, kParallelValues / 2 / std::max<size_t>(cols, 1));
  pool.parallel_for((rows + step - 1) / step, [&](size_t task, size_t) {
    for (size_t r = task * step; r < std::min(rows, (task + 1) * step); ++r) body(r);
  });
}

}  // namespace

void rms_norm(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx, size_t rows,
              size_t cols, const float* weight, float epsilon, float* y, size_t ldy) {
  for_rows(pool, rows, cols, [&](size_t r) {
    kernels.rms_norm_row(x + r * ldx, cols, weight, epsilon, y + r * ldy);
  });
}

void layer_norm(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx, size_t rows,
                size_t cols, const float* weight, const float* bias, float epsilon, float* y,
                size_t ldy) {
  for_rows(pool, rows, cols, [&](size_t r) {
    kernels.layer_norm_row(x + r * ldx, cols, weight, bias, epsilon, y + r * ldy);
  });
}

void rms_norm_heads(const Kernels& kernels, ThreadPool& pool, float* x, size_t ldx, size_t rows,
                    size_t heads, size_t head_dim, const float* weight, float epsilon) {
  for_rows(pool, rows, heads * head_dim, [&](size_t r) {
    for (size_t h = 0; h < heads; ++h) {
      float* head = x + r * ldx + h * head_dim;
      kernels.rms_norm_row(head, head_dim, weight, epsilon, head);
    }
  });
}

void rope(const Kernels& kernels, ThreadPool& pool, float* x, size_t ldx, size_t rows, size_t heads,
          size_t head_dim, size_t dims, RopeStyle style, const float* cos, const float* sin) {
  for_rows(pool, rows, heads * dims, [&](size_t r) {
    kernels.rope_row(x + r * ldx, heads, head_dim, dims, style, cos + r * (dims / 2),
                     sin + r * (dims / 2));
  });
}

void silu_mul(const Kernels& kernels, const float* gate, const float* up, size_t n, float* y) {
  kernels.gate(Activation::kSilu, gate, up, n, y);
}

void activate(const Kernels& kernels, ThreadPool& pool, Activation activation, float* x, size_t ldx,
              size_t rows, size_t cols) {
  for_rows(pool, rows, cols, [&](size_t r) { kernels.activate(activation, x + r * ldx, cols); });
}

void scale(const Kernels& kernels, float factor, float* x, size_t n) {
  kernels.scale(factor, x, n);
}

void softcap(const Kernels& kernels, float cap, float* x, size_t n) { kernels.softcap(cap, x, n); }

void add(const Kernels& kernels, const float* x, size_t n, float* y) { kernels.add(x, n, y); }

void add_bias(const Kernels& kernels, const float* bias, size_t rows, size_t cols, float* y,
              size_t ldy) {
  for (size_t r = 0; r < rows; ++r) kernels.add(bias, cols, y + r * ldy);
}

void softmax(const Kernels& kernels, float* x, size_t n) { kernels.softmax(x, n); }

double exp_sum(const Kernels& kernels, const float* x, size_t n, float max) {
  return kernels.exp_sum(x, n, max);
}

double log_sum_exp(const Kernels& kernels, const float* x, size_t n) {
  return log_sum_exp(kernels, x, n, x[kernels.argmax(x, n)]);
}

double log_sum_exp(const Kernels& kernels, const float* x, size_t n, float max) {
  return static_cast<double>(max) + std::log(kernels.exp_sum(x, n, max));
}

MassAndGap mass_and_gap(const Kernels& kernels, const float* log_p, float floor, const float* y,
                        float shift, size_t n) {
  return kernels.mass_and_gap(log_p, floor, y, shift, n);
}

size_t argmax(const Kernels& kernels, const float* x, size_t n) { return kernels.argmax(x, n); }

float dot(const Kernels& kernels, const float* a, const float* b, size_t n) {
  return kernels.dot(a, b, n);
}

}  // namespace weir::kernels
