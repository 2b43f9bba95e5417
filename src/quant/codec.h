// Scalar encode and decode of the ggml block formats: the reference that kernels are tested
// against. Bit-exact with gguf.quants.dequantize / quantize of the Python package `gguf` (0.19),
// which in turn follows ggml-quants.c. (One case is left open there: the sign of a zero minimum in
// Q4_1 when a block holds both zeros; here the first of them counts.)
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "gguf/tensor_type.h"

namespace weir::quant {

// All that ggml writes into files: F32 F16 BF16 F64 I8 I16 I32 I64, Q4_0 Q4_1 Q5_0 Q5_1 Q8_0, Q2_K
// to Q6_K, the IQ formats, TQ1_0 TQ2_0, MXFP4, NVFP4. Not Q8_1, Q8_K (only between operators),
// Q1_0.
bool can_decode(gguf::TensorType type);
// F32 F16 BF16 Q4_0 Q4_1 Q8_0
bool can_encode(gguf::TensorType type);

// Decodes dst.size() values. src holds exactly that many in the format of `type`, any alignment;
// whole blocks only. Errors: kUnsupported (a type that can_decode denies), kInvalidValue (sizes do
// not fit). Any thread.
Status decode(gguf::TensorType type, std::span<const std::byte> src, std::span<float> dst);

// Encodes src into dst, exactly as long as the format of `type` asks for; whole blocks only.
// Errors: kUnsupported, kInvalidValue (sizes; for block formats also a NaN or infinite value, or
// one so large that the block's scale does not fit f16, named by its index; dst is then undefined).
// Any thread.
Status encode(gguf::TensorType type, std::span<const float> src, std::span<std::byte> dst);

}  // namespace weir::quant
