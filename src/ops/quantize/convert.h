// Rows of a tensor on their way from one type to another, in pieces that workers take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/thread_pool.h"
#include "ops/quantize/error_feedback.h"
#include "quant/quantize.h"

namespace weir::ops {

// Bytes that so many values, whole blocks of them, take.
uint64_t bytes_as(gguf::TensorType type, uint64_t values);

// Rows [first, first + count) of a tensor, as they are read: its own bytes, or transformed ones in
// another type.
struct SourceRows {
  const gguf::Tensor& tensor;
  gguf::TensorType type;
  std::span<const std::byte> data;
  size_t first = 0, count = 0;
};
SourceRows rows_of(const gguf::Tensor& t, size_t first, size_t count);

class Converter {
 public:
  explicit Converter(kernels::ThreadPool& pool);

  // The rows as `type`, valid until the next call. importance: of the tensor, [matrices, cols] mean
  // squares, or empty. feedback: what chooses the codes afterwards, or nullptr. Errors: those of
  // quant::decode and quant::quantize_rows, naming tensor and row.
  Result<std::span<const std::byte>> convert(const SourceRows& rows, gguf::TensorType type,
                                             std::span<const float> importance,
                                             const ErrorFeedback* feedback);

 private:
  // Rows of one matrix.
  struct Piece {
    std::span<const std::byte> source;
    std::span<std::byte> target;
    std::span<const float> importance;
  };

  Status one(const SourceRows& rows, gguf::TensorType type, const Piece& piece,
             const ErrorFeedback* feedback, std::vector<float>& values) const;
  void note(const Status& status, size_t row);

  kernels::ThreadPool& pool_;
  quant::SearchIsa isa_;
  std::vector<std::vector<float>> values_;  // of each worker
  std::vector<std::byte> out_;
  std::mutex mutex_;
  size_t first_failure_ = 0;
  Error failure_;
};

}  // namespace weir::ops
