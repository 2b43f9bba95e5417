// The small operators between the matmuls, on f32 rows. Each row's result depends on that row
// alone; rows are spread over the pool when there are enough to pay for the region. In-place use (y
// == x) is allowed everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

// y[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight. x, y: [rows, cols]; weight: [cols].
void rms_norm(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx, size_t rows,
              size_t cols, const float* weight, float epsilon, float* y, size_t ldy);

// y[r] = (x[r] - mean) / sqrt(variance + epsilon) * weight (+ bias). x, y: [rows, cols]; weight:
// [cols]; bias: [cols] or nullptr.
void layer_norm(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx, size_t rows,
                size_t cols, const float* weight, const float* bias, float epsilon, float* y,
                size_t ldy);

// rms_norm of each head of each row in place (qk-norm). x: [rows, heads, head_dim]; weight:
// [head_dim].
void rms_norm_heads(const Kernels& kernels, ThreadPool& pool, float* x, size_t ldx, size_t rows,
                    size_t heads, size_t head_dim, const float* weight, float epsilon);

enum class RopeStyle {
  kInterleaved,  // pairs (2i, 2i + 1): llama in GGUF files
  kHalves,       // pairs (i, i + dims / 2): qwen, "neox"
};

// Rotates the first `dims` values of each head in place. x: [rows, heads, head_dim] at x + r * ldx;
// cos, sin: [rows, dims / 2], the row's position and any magnitude in them.
void rope(const Kernels& kernels, ThreadPool& pool, float* x, size_t ldx, size_t rows, size_t heads,
          size_t head_dim, size_t dims, RopeStyle style, const float* cos, const float* sin);

// y = gate / (1 + exp(-gate)) * up, n values.
void silu_mul(const Kernels& kernels, const float* gate, const float* up, size_t n, float* y);

enum class Activation : uint8_t {
  kSilu,
  kGeluTanh,   // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  kGelu,       // x Phi(x) (Hendrycks and Gimpel 2016); absolute error of Phi below 3e-7
  kSwigluOai,  // gated only: g' = min(g, 7), u' = clamp(u, -7, 7): g' sigmoid(1.702 g') (u' + 1)
};

// x[r] = activation(x[r]). x: [rows, cols] at x + r * ldx. Not kSwigluOai.
void activate(const Kernels& kernels, ThreadPool& pool, Activation activation, float* x, size_t ldx,
              size_t rows, size_t cols);

// x *= factor, n values.
void scale(const Kernels& kernels, float factor, float* x, size_t n);

// x = cap * tanh(x / cap), n values; cap > 0.
void softcap(const Kernels& kernels, float cap, float* x, size_t n);

// y += x, n values.
void add(const Kernels& kernels, const float* x, size_t n, float* y);

// y[r] += bias for each row; bias: [cols].
void add_bias(const Kernels& kernels, const float* bias, size_t rows, size_t cols, float* y,
              size_t ldy);

// x = exp(x - max) / sum, in place, n >= 1. Maximum relative error of exp: see
// kExpMaxRelativeError.
void softmax(const Kernels& kernels, float* x, size_t n);

// sum(exp(x - max)), n >= 1, blocks of 1,024 values summed in double precision: relative error
// below 1e-6 beside that of exp. NaN when a value is NaN or above max without end.
double exp_sum(const Kernels& kernels, const float* x, size_t n, float max);
// log(sum(exp(x))), n >= 1: what log softmax takes off every value. Not finite when a value is NaN
// or +infinity, or all are -infinity.
double log_sum_exp(const Kernels& kernels, const float* x, size_t n);
// The same where the greatest value is known.
double log_sum_exp(const Kernels& kernels, const float* x, size_t n, float max);

// Of the distribution whose log-probabilities are log_p [n], what is above `floor`: its mass,
// sum(exp(log_p)), and its gap to another row y [n], sum(exp(log_p) * (log_p - (y - shift))). Not
// finite when a y is not.
struct MassAndGap {
  double mass = 0;
  double gap = 0;
};
MassAndGap mass_and_gap(const Kernels& kernels, const float* log_p, float floor, const float* y,
                        float shift, size_t n);

// The exp polynomial of every ISA: relative error below this for results that are normal floats;
// smaller results are 0.
inline constexpr float kExpMaxRelativeError = 2e-7F;

// Index of the greatest value, the first of equals; NaNs never win (0 when all are NaN). n >= 1.
size_t argmax(const Kernels& kernels, const float* x, size_t n);

float dot(const Kernels& kernels, const float* a, const float* b, size_t n);

}  // namespace weir::kernels
