#include "checkpoint/open.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>
#include <vector>

#include "checkpoint/folder.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_tokenizer.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensors.h"
#include "gguf/writer.h"
#include "os/mapped_file.h"
#include "text/json.h"

namespace weir::checkpoint {
namespace {

namespace fs = std::filesystem;
using text::Json;

struct Shards {
  std::vector<os::MappedFile> mappings;
  std::vector<SafeTensor> tensors;
  uint64_t bytes = 0;
};

Result<Shards> join_shards(const Folder& folder) {
  WEIR_ASSIGN(std::vector<Shard> shards, open_shards(folder));
  Shards all;
  for (Shard& s : shards) {
    all.bytes += s.mapping.bytes().size();
    all.mappings.push_back(std::move(s.mapping));
    std::move(s.tensors.begin(), s.tensors.end(), std::back_inserter(all.tensors));
  }
  return all;
}

Result<TokenizerFiles> read_text_files(const Folder& folder, Json config) {
  TokenizerFiles files;
  files.config = std::move(config);
  if (!folder.has("tokenizer.json")) {
    return make_error(ErrorCode::kNotFound,
                      "{} is missing: a folder's vocabulary is read from it alone; save it with "
                      "transformers, or take the model as GGUF",
                      folder.file("tokenizer.json"));
  }
  WEIR_ASSIGN(files.tokenizer, folder.json("tokenizer.json"));
  WEIR_ASSIGN(files.tokenizer_config, folder.json_if("tokenizer_config.json"));
  WEIR_ASSIGN(files.generation, folder.json_if("generation_config.json"));
  if (folder.has("chat_template.jinja")) {
    WEIR_ASSIGN(files.chat_template, folder.text("chat_template.jinja"));
  }
  return files;
}

Result<OpenedModel> open_folder(const Folder& folder, const OpenOptions& options) {
  if (!folder.has("config.json")) {
    return make_error(ErrorCode::kNotFound,
                      "{} is a folder without config.json; give a GGUF file or the folder of a "
                      "Hugging Face model",
                      folder.path());
  }
  WEIR_ASSIGN(Json json, folder.json("config.json"));
  gguf::Writer writer;
  auto config = read_hf_config(json, writer);
  if (!config.ok()) return config.error().with_context(folder.file("config.json"));
  writer.set_string("general.name", fs::path(folder.path()).filename().string());
  if (config->family->encoder) {
    constexpr std::string_view kPooling = "1_Pooling/config.json";
    WEIR_ASSIGN(const Json pooling, folder.json_if(kPooling));
    if (auto status = read_pooling_config(pooling, *config->family, writer); !status.ok())
      return status.error().with_context(folder.file(kPooling));
  }
  WEIR_ASSIGN(Shards shards, join_shards(folder));
  auto joined = join_quantized(config->quantization, std::move(shards.tensors));
  if (!joined.ok()) return joined.error().with_context(folder.path());
  auto converted = convert_tensors(*config, *joined, options.load_type);
  if (!converted.ok()) return converted.error().with_context(folder.path());
  uint64_t rows = 0;
  for (const gguf::Tensor& t : converted->tensors) {
    if (t.name == "token_embd.weight") rows = t.rows();
  }
  if (rows == 0) {
    return make_error(ErrorCode::kCorrupt, "{}: the tensor of the token embedding is missing",
                      folder.path());
  }
  WEIR_ASSIGN(const TokenizerFiles files, read_text_files(folder, std::move(json)));
  if (auto status = convert_tokenizer(files, rows, writer); !status.ok()) {
    return status.error().with_context(folder.path());
  }
  auto metadata = writer.to_bytes();
  if (!metadata.ok()) return metadata.error().with_context(folder.path());
  WEIR_ASSIGN(gguf::File file, gguf::File::assemble({.path = folder.path(),
                                                     .metadata = std::move(*metadata),
                                                     .tensors = std::move(converted->tensors),
                                                     .mappings = std::move(shards.mappings),
                                                     .buffers = std::move(converted->buffers),
                                                     .total_bytes = shards.bytes}));
  OpenedModel model{std::move(file), nullptr};
  if (!converted->conversions.empty()) {
    model.fill = [path = folder.path(),
                  todo = std::move(converted->conversions)](kernels::ThreadPool& pool) -> Status {
      for (const Conversion& c : todo) {
        if (auto status = convert(c, pool); !status.ok()) return status.error().with_context(path);
      }
      return {};
    };
  }
  return model;
}

}  // namespace

Result<OpenedModel> open_model(const std::string& path, const OpenOptions& options) {
  std::error_code ec;
  if (fs::is_directory(path, ec)) return open_folder(Folder(path), options);
  if (options.load_type) {
    return make_error(ErrorCode::kUsage,
                      "--load-type is for folders with safetensors; {} is a file, whose weights "
                      "keep their types",
                      path);
  }
  WEIR_ASSIGN(gguf::File file, gguf::File::open(path));
  return OpenedModel{std::move(file), nullptr};
}

Result<gguf::TensorType> parse_load_type(std::string_view name) {
  using gguf::TensorType;
  constexpr std::array<std::pair<std::string_view, TensorType>, 5> kTypes = {
      {{"bf16", TensorType::kBF16},
       {"f16", TensorType::kF16},
       {"q8_0", TensorType::kQ8_0},
       {"q4_1", TensorType::kQ4_1},
       {"q4_0", TensorType::kQ4_0}}};
  for (const auto& [known, type] : kTypes) {
    if (known == name) return type;
  }
  return make_error(ErrorCode::kUsage,
                    "--load-type {} is not known; known: bf16, f16, q8_0, q4_1, q4_0", name);
}

}  // namespace weir::checkpoint
