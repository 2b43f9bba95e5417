// The tensors of a checkpoint under the names, in the order of rows and in the types that the rest
// of weir reads. Internal to checkpoint/.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/safetensors.h"
#include "gguf/file.h"

namespace weir::checkpoint {

struct TensorOptions {
  std::optional<gguf::TensorType> load_type =
      std::nullopt;  // of the large matrices; nothing: as in the file
  bool contents =
      true;  // false: names, types and shapes are right, converted data is not filled in
};

struct ConvertedTensors {
  std::vector<gguf::Tensor> tensors;  // data in the source, or in buffers where it was changed
  std::vector<std::unique_ptr<std::byte[]>> buffers;
};

// Errors: kUnsupported for a tensor that the model type is not known with or a type that is no
// float; kCorrupt for shapes that do not fit config.json or missing slices of experts.
Result<ConvertedTensors> convert_tensors(const HfConfig& config,
                                         const std::vector<SafeTensor>& source,
                                         const TensorOptions& options);

}  // namespace weir::checkpoint
