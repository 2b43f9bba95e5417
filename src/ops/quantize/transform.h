// A model's tensors as they are quantized where that is not as they stand in the source: factors
// of columns and rows that moved from one tensor into another (AWQ), and rotations of what flows
// between them (rotate_model.h), so that the model stays the same function. A slice of rows at a
// time is transformed on its way to the encoder.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/thread_pool.h"
#include "ops/quantize/rotation.h"

namespace weir::ops {

// What becomes of a tensor. Empty: nothing.
struct TensorTransform {
  std::vector<float> values;   // of a vector: what stands instead of it, all else is left out
  std::vector<float> columns;  // [cols] factors; what a matrix reads is divided by them
  std::vector<float> rows;     // [rows] factors
  // After the factors, of each run of so many columns of a row, and of rows of a column. What a
  // matrix reads is rotated as its columns are. Shared: all tensors of a model have the same.
  std::shared_ptr<const Rotation> column_rotation = {}, row_rotation = {};
};

// By name.
using TensorTransforms = std::map<std::string, TensorTransform, std::less<>>;

// nullptr where there is none.
const TensorTransform* find_transform(const TensorTransforms& transforms, std::string_view name);

// The mean squares of a matrix's inputs, [matrices, cols], as they are once transformed, of a
// transform without a rotation of columns. In place.
void transform_inputs(const TensorTransform& transform, std::span<float> mean_squares);

// The second moments of a matrix's inputs, as Moments has them, as they are once transformed. What
// a column with the factor 0 met is not known; it counts as independent of the others, with a mean
// square of 1, which is that of a normed channel. Memory with a rotation: 4 bytes a pair of
// columns.
void transform_moments(const TensorTransform& transform, std::span<const float> moments,
                       size_t cols, kernels::ThreadPool& pool, std::vector<float>& out);

// Rows that have to be transformed together: 1 without a rotation of rows.
size_t row_block(const TensorTransform& transform);

// One thread.
class TransformedRows {
 public:
  explicit TransformedRows(kernels::ThreadPool& pool);

  // Rows [first, first + rows) of `t`, whole blocks of row_block(): [rows, cols], valid until the
  // next call; the same bits for any number of threads. Memory: 4 bytes a value. Errors: those of
  // quant::decode; kInvalidValue naming tensor, row and column of a value that is not finite.
  Result<std::span<const float>> read(const gguf::Tensor& t, const TensorTransform& transform,
                                      size_t first, size_t rows);

 private:
  Status row(const gguf::Tensor& t, const TensorTransform& transform, size_t number,
             std::span<float> out, std::vector<double>& scratch) const;
  void rotate_rows(const Rotation& rotation, size_t cols);

  kernels::ThreadPool& pool_;
  std::vector<float> values_;  // [rows, cols]
  std::mutex mutex_;
};

}  // namespace weir::ops
