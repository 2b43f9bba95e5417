// The values that encoded rows could stand for if only their codes changed: what methods that
// choose the codes themselves, one column after another, work with (GPTQ).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "gguf/tensor_type.h"

namespace weir::quant {

// One row. Code c of column i stands for unit[i] * level[c] + offset[i].
struct RowLevels {
  std::span<const float> level;     // ascending, the same for all columns
  std::vector<float> unit, offset;  // [cols]; a unit may be 0 or negative
};

// Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 NVFP4: the types with a
// code for each value. The others' codes stand for several values together.
bool has_levels(gguf::TensorType type);

// row: an encoded row, whole blocks. Its codes do not matter. Errors: kUnsupported for a type
// without levels, kInvalidValue for sizes. Any thread.
Status read_levels(gguf::TensorType type, std::span<const std::byte> row, RowLevels& out);

// Replaces the codes of an encoded row and leaves its scales. codes: [cols], indices of
// RowLevels::level. Errors as above; kInvalidValue also for a code past the levels.
Status store_codes(gguf::TensorType type, std::span<const uint8_t> codes, std::span<std::byte> row);

}  // namespace weir::quant
