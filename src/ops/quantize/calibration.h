// What was measured on a text before a model is quantized, tensor by tensor.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/thread_pool.h"
#include "ops/imatrix/importance.h"
#include "ops/imatrix/moments.h"
#include "ops/quantize/error_feedback.h"
#include "ops/quantize/transform.h"

namespace weir::ops {

// Borrowed; each may be nullptr.
struct Calibration {
  const ImportanceMatrix* importance = nullptr;
  const Moments* moments = nullptr;
  bool compensate = true;  // by GPTQ, which chooses the codes of every matrix with moments
};

// Mean squares of what meets a tensor's columns: [matrices, cols]; empty where `importance` is
// nullptr or has nothing of it. Error: that of mean_squares.
Status importance_of(const gguf::Tensor& t, const ImportanceMatrix* importance,
                     std::vector<float>& means);

// The mean squares of what meets the columns of the matrix `name`: of the importance or, where that
// has nothing of it, of the moments; empty where neither has. Errors: those of mean_squares and
// Moments::find.
Status column_weights(const Calibration& calibration, const std::string& name, size_t cols,
                      std::vector<float>& means);

// The same of a tensor, which may be several matrices, [matrices, cols], as its inputs are once
// transformed (transform: or nullptr). Where columns are rotated only moments tell; without them it
// is empty.
Status column_weights(const Calibration& calibration, const gguf::Tensor& t,
                      const TensorTransform* transform, kernels::ThreadPool& pool,
                      std::vector<float>& means);
// Whether that is more than empty.
Result<bool> has_column_weights(const Calibration& calibration, const gguf::Tensor& t,
                                const TensorTransform* transform);

// GPTQ's factors of one matrix after another. Matrices that read one input, which stand close to
// each other in a file, share its factor: the last two are kept. One thread.
class Feedbacks {
 public:
  // moments: nullptr, or borrowed.
  Feedbacks(const Moments* moments, kernels::ThreadPool& pool) : moments_(moments), pool_(pool) {}

  // Of the matrix `name` with `cols` columns. transform: what became of it after the measurement,
  // for its inputs the same for all that read them; or nullptr. divided: the same where that is
  // [cols] factors of its columns, or none. Valid until the second call
  // after this one; nullptr where there are no moments of it. Errors: those of Moments::find and
  // ErrorFeedback::create, naming the tensor.
  Result<const ErrorFeedback*> of(const std::string& name, size_t cols,
                                  const TensorTransform* transform);
  Result<const ErrorFeedback*> of(const std::string& name, size_t cols,
                                  std::span<const float> divided = {});

 private:
  struct Kept {
    const float* moments = nullptr;
    std::optional<ErrorFeedback> feedback;
  };

  const Moments* moments_;
  kernels::ThreadPool& pool_;
  std::array<Kept, 2> kept_;
  size_t oldest_ = 0;
};

}  // namespace weir::ops
