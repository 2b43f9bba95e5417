// Quantizing weights: encoding with a search for the scales that keep the error small, where
// codec.h's encode() takes the first that fits. What is minimized is Σ w·(x − x̂)² over a block; w
// is the importance of the column (the mean square of the activation that meets it, see
// llama.cpp's imatrix), and grows with the weight's own size where that was measured to help.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/tensor_type.h"
#include "os/cpu.h"

namespace weir::quant {

// Which instructions the search uses. The result has the same bits with each.
enum class SearchIsa : uint8_t { kScalar, kAvx2, kAvx512 };
SearchIsa best_search_isa(const os::CpuFeatures& features);

// F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 NVFP4 TQ1_0
// TQ2_0
bool can_quantize(gguf::TensorType type);
std::vector<gguf::TensorType> quantizable();
// All of them, comma-separated, for error messages.
std::string quantizable_types();

// Quantizes whole rows: values [rows, cols] f32, row-major, into out, exactly as long as the type
// asks for. importance: [cols], finite and not negative, or empty: every column counts the same.
// The result of a row depends on it and the importance alone. Errors: kUnsupported (a type that
// can_quantize denies), kInvalidValue (sizes; a NaN or infinite value, or one past what the type
// holds, named by row and column). Any thread; about 5 bytes of memory a value are taken meanwhile.
Status quantize_rows(gguf::TensorType type, std::span<const float> values, size_t cols,
                     std::span<const float> importance, std::span<std::byte> out, SearchIsa isa);

}  // namespace weir::quant
