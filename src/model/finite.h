// Refuses weights that would poison every logit: NaN or infinite values and block scales.
#pragma once

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/thread_pool.h"

namespace weir::model {

// Scans the floats of F64/F32/F16/BF16 tensors and the scales of block formats (a few per cent of
// the bytes). Error: kCorrupt naming tensor and element or block. Types without a known place for
// scales pass. Of several places the first is named.
Status check_finite(const gguf::Tensor& tensor, kernels::ThreadPool& pool);

}  // namespace weir::model
