// Opening a model, whatever format it is in: a GGUF file, or a Hugging Face folder with
// config.json, tokenizer.json and *.safetensors, which is turned into the same thing in memory.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/file.h"
#include "gguf/tensor_type.h"

namespace weir::checkpoint {

struct OpenOptions {
  // Type of the large matrices of a folder in memory; nothing: as they are in its files.
  std::optional<gguf::TensorType> load_type = std::nullopt;
  // false: the caller reads metadata, names, types and shapes only; data that would have to be
  // converted is left undefined.
  bool contents = true;
};

// Errors: those of gguf::File::open for a file; for a folder kNotFound (a file of it is missing),
// kCorrupt, kUnsupported, kLimit, naming folder, file and field. load_type with a GGUF file is
// kUsage.
Result<gguf::File> open_model(const std::string& path, const OpenOptions& options = {});

// "bf16", "f16", "q8_0", "q4_1", "q4_0"; kUsage for another.
Result<gguf::TensorType> parse_load_type(std::string_view name);

}  // namespace weir::checkpoint
