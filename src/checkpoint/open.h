// Opening a model, whatever format it is in: a GGUF file, or a Hugging Face folder with
// config.json, tokenizer.json and *.safetensors, which is turned into the same thing in memory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/file.h"
#include "gguf/tensor_type.h"
#include "kernels/thread_pool.h"

namespace weir::checkpoint {

struct OpenOptions {
  // Type of the large matrices of a folder in memory; nothing: as they are in its files.
  std::optional<gguf::TensorType> load_type = std::nullopt;
};

struct OpenedModel {
  gguf::File file;
  // Fills in the data of tensors that are not as in their files, on all workers; it is undefined
  // before. Empty when there are none. To be called once, while `file` (or what it was moved into)
  // lives. Error: kCorrupt naming folder and tensor.
  std::function<Status(kernels::ThreadPool&)> fill;
};

// Errors: those of gguf::File::open for a file; for a folder kNotFound (a file of it is missing),
// kCorrupt, kUnsupported, kLimit, naming folder, file and field. load_type with a GGUF file is
// kUsage.
Result<OpenedModel> open_model(const std::string& path, const OpenOptions& options = {});

// "bf16", "f16", "q8_0", "q4_1", "q4_0"; kUsage for another.
Result<gguf::TensorType> parse_load_type(std::string_view name);

}  // namespace weir::checkpoint
