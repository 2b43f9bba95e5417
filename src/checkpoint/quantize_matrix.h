// One matrix of a checkpoint as the tensors that stand for it in a folder for GPU engines: the
// mirror of quantized.h. Internal to checkpoint/.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "checkpoint/fold.h"
#include "checkpoint/quantize_calibration.h"
#include "checkpoint/quantize_scheme.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"
#include "kernels/thread_pool.h"

namespace weir::checkpoint {

// The parts of matrix "NAME.weight" [rows, cols], codes first. Errors: kUnsupported for a type that
// is not F32, F16 or BF16, and for sizes that the format cannot hold, naming the tensor, the bound
// and what to do.
Result<std::vector<SafeTensorInfo>> parts_of(const QuantizeScheme& scheme,
                                             const SafeTensor& matrix);

// The largest magnitude of a matrix. Error: kInvalidValue for a NaN or infinity, naming row and
// column.
Result<float> largest_value(const SafeTensor& matrix, kernels::ThreadPool& pool);

using PartBytes = std::vector<std::vector<std::byte>>;

// The bytes of the parts, in the order of parts_of(), which must have accepted the matrix; the same
// for any number of threads. largest: what a scale of the whole matrix spans, at least the matrix'
// largest magnitude. calibration: of schemes with integers, and the largest input of those with
// fixed inputs; fold: of schemes with integers, or nullptr. Errors: kInvalidValue for a NaN, an
// infinity, or a value that the format cannot hold, naming the tensor and row, and for an input
// that is needed and was not measured.
Result<PartBytes> encode_matrix(const QuantizeScheme& scheme, const SafeTensor& matrix,
                                float largest, kernels::ThreadPool& pool,
                                const MatrixCalibration& calibration = {},
                                const Fold* fold = nullptr);

// Rows of a matrix as floats. Error: kInvalidValue for a value that is none.
Status read_rows(const SafeTensor& matrix, size_t first, size_t rows, std::vector<float>& to);

// Puts what the nearest codes of an integer scheme stand for in the place of values [rows, cols].
// matrix: whose type scales have. weights: as MatrixCalibration has them.
void round_trip(const QuantizeScheme& scheme, const SafeTensor& matrix,
                std::span<const float> weights, std::span<float> values);

}  // namespace weir::checkpoint
