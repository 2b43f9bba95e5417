// y = W·x for a batch of tokens. Invariant "same bits": the operations behind an output element and
// their order depend on its weight row and its activation row alone; not on the batch, the tile or
// the threads. K is never split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/aligned_buffer.h"
#include "kernels/kernels.h"
#include "kernels/ops.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

// The input rows of a matmul: f32, and quantized to int8 in blocks of 32 (scale amax/127 in f32,
// codes rounded to nearest even, in [-127, 127]); prepared once and shared by all matrices that
// read it. A block with a NaN or infinite value gets a non-finite scale, so the outputs that read
// it are non-finite. Buffers grow and are kept; one thread at a time.
class Activations {
 public:
  // x: [tokens, cols] f32, row t at x + t * ldx; borrowed until the last matmul. int8 codes are
  // made when cols is a multiple of 32 (integer panel formats exist only then).
  void quantize(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx, size_t tokens,
                size_t cols);

  // RMS norm of each row of x with weight [cols], into an own buffer, quantized in the same pass. x
  // is not kept.
  void quantize_rms_norm(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx,
                         size_t tokens, size_t cols, const float* weight, float epsilon);

  // The same with layer norm; bias [cols] or nullptr.
  void quantize_layer_norm(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx,
                           size_t tokens, size_t cols, const float* weight, const float* bias,
                           float epsilon);

  size_t tokens() const { return tokens_; }
  size_t cols() const { return cols_; }
  const float* x() const { return x_; }  // the f32 rows (after the norm)
  size_t ldx() const { return ldx_; }
  bool quantized() const { return cols_ % 32 == 0; }

  // The tokens are cut into tiles of equal width (the last may hold fewer), one micro-kernel call
  // each.
  size_t tile_width() const { return tile_width_; }
  size_t tiles() const { return tile_width_ == 0 ? 0 : (tokens_ + tile_width_ - 1) / tile_width_; }

 private:
  friend struct ActivationAccess;

  void reserve(size_t tokens, size_t cols);
  void quantize_row(const Kernels& kernels, size_t token);
  void for_each_row(ThreadPool& pool, FunctionRef<void(size_t token)> row) const;

  const float* x_ = nullptr;
  size_t ldx_ = 0;
  size_t tokens_ = 0;
  size_t cols_ = 0;
  size_t tile_width_ = 0;
  AlignedBuffer rows_;         // the normed rows
  AlignedBuffer codes_;        // [tiles][cols / 32][tile_width][32] int8
  AlignedBuffer scales_;       // [tiles][cols / 32][tile_width] f32
  AlignedBuffer neg8_sums_;    // the same shape, int32: -8 * sum of the block's codes
  AlignedBuffer scaled_sums_;  // the same shape, f32: scale * sum of the block's codes
  AlignedBuffer half_sums_;    // [tiles][cols / 32][2][tile_width] int32: sums of half a block
};

// One product of a region: y[t * ldy + r] = (add ? y : 0) + W·x (+ bias[r]), t < tokens, r < rows.
struct MatmulJob {
  const PackedMatrix* w = nullptr;
  float* y = nullptr;
  size_t ldy = 0;
  const float* bias = nullptr;  // [rows] or nullptr
  bool add = false;             // the residual stands in y already
};

// All jobs read the same activations and run in one parallel region (Q, K and V; or a single
// matrix). Preconditions: w->cols() == activations.cols(), w packed for the ISA of `kernels`,
// outputs do not overlap.
void matmul(const Kernels& kernels, ThreadPool& pool, const Activations& activations,
            std::span<const MatmulJob> jobs);

// The same with activations[i] for job i, of one count of tokens (the heads of latent attention).
void matmul_each(const Kernels& kernels, ThreadPool& pool, std::span<const Activations> activations,
                 std::span<const MatmulJob> jobs);

// y = activation(gate·x + gate_bias) * (up·x + up_bias), in one region. gate and up have the same
// shape and panel rows. y: [tokens, rows].
void matmul_gated(const Kernels& kernels, ThreadPool& pool, const Activations& activations,
                  const PackedMatrix& gate, const PackedMatrix& up, Activation activation, float* y,
                  size_t ldy, const float* gate_bias = nullptr, const float* up_bias = nullptr);

}  // namespace weir::kernels
