// One matrix of a checkpoint as the tensors that stand for it in a folder for GPU engines: the
// mirror of quantized.h. Internal to checkpoint/.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
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
// for any number of threads. largest: of NVFP4, what the scale of the whole matrix spans, at least
// the matrix' largest magnitude. Errors: kInvalidValue for a NaN, an infinity, or a value that the
// format cannot hold, naming the tensor and row.
Result<PartBytes> encode_matrix(const QuantizeScheme& scheme, const SafeTensor& matrix,
                                float largest, kernels::ThreadPool& pool);

}  // namespace weir::checkpoint
