// The tensors of a checkpoint under the names, in the order of rows and in the types that the rest
// of weir reads. Internal to checkpoint/.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/safetensors.h"
#include "gguf/file.h"
#include "kernels/thread_pool.h"

namespace weir::checkpoint {

// A tensor whose data differs from that of its files, and how it is made of it.
struct Conversion {
  std::string name;
  std::vector<std::span<const std::byte>> slices;  // one, or one for each expert: [rows, cols]
  gguf::TensorType from = gguf::TensorType::kF32;
  gguf::TensorType to = gguf::TensorType::kF32;
  size_t rows = 0;  // of a slice; a vector is one column of them
  size_t cols = 0;
  size_t head_rows = 0;     // > 0: in each head of so many rows the halves are dealt out in pairs
  bool transposed = false;  // a slice is [cols, rows]
  size_t first_row = 0;     // rows first_row, first_row + row_step, ... of a slice are taken
  size_t row_step = 1;
  std::vector<std::span<const std::byte>> scales;  // MXFP4 as Stack::kScales has it, one a slice
  bool shifted = false;                            // the values grow by 1
  std::vector<std::shared_ptr<const QuantizedMatrix>> quantized;  // instead of slices
  std::span<std::byte> data;  // [slices, rows, cols], in a buffer
};

struct ConvertedTensors {
  std::vector<gguf::Tensor> tensors;  // data in the source, or in buffers where it is changed
  std::vector<std::unique_ptr<std::byte[]>> buffers;
  std::vector<Conversion> conversions;  // what is left to be done; their data is undefined before
};

// load_type: of the large matrices; nothing: as in the file.
// Errors: kUnsupported for a tensor that the model type is not known with or a type that is no
// float; kCorrupt for shapes that do not fit config.json or missing slices of experts.
Result<ConvertedTensors> convert_tensors(const HfConfig& config,
                                         const std::vector<SafeTensor>& source,
                                         std::optional<gguf::TensorType> load_type);

// Fills in the data, rows in parallel. Error: that of a value which the type cannot hold.
Status convert(const Conversion& conversion, kernels::ThreadPool& pool);

}  // namespace weir::checkpoint
