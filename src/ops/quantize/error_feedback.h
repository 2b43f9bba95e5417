// GPTQ: choosing the codes of a matrix column by column, each making good what the ones before it
// got wrong. With fixed scales and H the second moments of the inputs, the output's squared error
// is Σ (w − ŵ) H (w − ŵ)ᵀ over the rows. With H = (U + I) D (U + I)ᵀ, U strictly upper triangular,
// column k is quantized as w_k + Σ_{j<k} (w_j − ŵ_j) U_jk: what Frantar et al. (GPTQ, 2022) do by
// the inverse of H, in the form of Chee et al. (QuIP's LDLQ, 2023), who prove them equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "gguf/tensor_type.h"
#include "kernels/thread_pool.h"
#include "quant/levels.h"
#include "quant/quantize.h"

namespace weir::ops {

// Of the mean of the second moments' diagonal, added to it: GPTQ's own choice.
inline constexpr double kGptqDamping = 0.01;

class ErrorFeedback {
 public:
  // moments: of the inputs, the lower triangle row by row: n·(n + 1)/2 values for n columns.
  // Columns with the most weight come first (GPTQ's act-order); `damping` times the mean of the
  // diagonal is added to it. Memory: 8·n² bytes for the factor meanwhile, 4·n² afterwards. Error:
  // kInvalidValue for moments that are no moments: a NaN, or a matrix far from positive.
  static Result<ErrorFeedback> create(std::span<const float> moments, size_t cols, double damping,
                                      kernels::ThreadPool& pool);

  // Replaces the codes of encoded rows; their scales stay. values: [rows, cols] f32, what was
  // encoded. A row's result depends on it alone. Errors: those of quant::read_levels. Any thread.
  Status apply(gguf::TensorType type, std::span<const float> values, quant::SearchIsa isa,
               std::span<std::byte> encoded) const;

  // Chooses the codes of rows whose values a code stands for are given: levels of each row, with
  // the same RowLevels::level for all. values, codes: [rows, cols]. A row's result depends on it
  // alone. Any thread.
  void choose(std::span<const quant::RowLevels> levels, std::span<const float> values,
              quant::SearchIsa isa, std::span<uint8_t> codes) const;

  // The squared error of the output, Σ (w − ŵ) H (w − ŵ)ᵀ, with the damped H: over rows of values
  // and of what was made of them, both [rows, cols]. Any thread.
  double output_error(std::span<const float> values, std::span<const float> quantized,
                      quant::SearchIsa isa) const;

  size_t cols() const { return order_.size(); }

 private:
  ErrorFeedback() = default;

  std::vector<uint32_t> order_;  // column k of the feedback is column order_[k] of the matrix
  size_t stride_ = 0;            // cols, up to a multiple of quant::kOuterCols
  std::vector<float> feedback_;  // U, [cols, stride]
  std::vector<float> variance_;  // D, [cols]
};

}  // namespace weir::ops
