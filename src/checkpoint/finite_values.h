// Refuses values that would poison every logit, in tensors that are copied as they are.
#pragma once

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "kernels/thread_pool.h"

namespace weir::checkpoint {

// Scans the floats of F64, F32, F16 and BF16 tensors; others pass. Error: kInvalidValue naming the
// tensor and the first element that is NaN or infinite.
Status check_finite_values(const SafeTensor& tensor, kernels::ThreadPool& pool);

}  // namespace weir::checkpoint
