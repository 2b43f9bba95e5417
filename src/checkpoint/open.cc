#include "checkpoint/open.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "checkpoint/hf_config.h"
#include "checkpoint/hf_tokenizer.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensors.h"
#include "gguf/writer.h"
#include "os/file.h"
#include "os/mapped_file.h"
#include "text/json.h"

namespace weir::checkpoint {
namespace {

namespace fs = std::filesystem;
using text::Json;

// The largest tokenizer.json in the field has 35 MB, the largest index 10.
constexpr uint64_t kMaxJsonBytes = 256 << 20;
// Among these, the most values: 2 million, where each of 500,000 merges is a list of two.
constexpr size_t kMaxJsonValues = 8 << 20;
constexpr uint64_t kMaxShards = 1024;
constexpr std::string_view kIndex = "model.safetensors.index.json";
constexpr std::string_view kSingle = "model.safetensors";

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {
    while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  }

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return fmt::format("{}/{}", path_, name); }
  bool has(std::string_view name) const {
    std::error_code ec;
    return fs::exists(file(name), ec);
  }
  Result<std::string> text(std::string_view name) const {
    return os::read_file(file(name), kMaxJsonBytes);
  }
  Result<Json> json(std::string_view name) const {
    WEIR_ASSIGN(const std::string source, text(name));
    Result<Json> parsed = Json::parse(source, {.max_values = kMaxJsonValues});
    if (parsed.ok()) return parsed;
    return make_error(ErrorCode::kCorrupt, "{}: {}", file(name), parsed.error().message);
  }
  Result<Json> json_if(std::string_view name) const {
    return has(name) ? json(name) : Result<Json>(Json());
  }

 private:
  std::string path_;
};

// The names of the files that hold tensors. An index may only name files of its own folder.
Result<std::vector<std::string>> shard_names(const Folder& folder) {
  if (!folder.has(kIndex)) {
    if (folder.has(kSingle)) return std::vector<std::string>{std::string(kSingle)};
    return make_error(ErrorCode::kNotFound, "{}: neither {} nor {} is there", folder.path(),
                      kSingle, kIndex);
  }
  WEIR_ASSIGN(const Json index, folder.json(kIndex));
  const Json* map = index.find("weight_map");
  if (map == nullptr || !map->is_object()) {
    return make_error(ErrorCode::kCorrupt, "{}: weight_map must be an object", folder.file(kIndex));
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->members()) {
    const bool good = file.is_string() && file.as_string().ends_with(".safetensors") &&
                      file.as_string().find('/') == std::string::npos &&
                      file.as_string().find('\0') == std::string::npos;
    if (!good) {
      return make_error(ErrorCode::kCorrupt,
                        "{}: weight_map: the file of {} must be a *.safetensors of the same folder",
                        folder.file(kIndex),
                        text::json_quote(std::string_view(tensor).substr(0, 80), true));
    }
    names.insert(file.as_string());
  }
  if (names.empty() || names.size() > kMaxShards) {
    return make_error(ErrorCode::kLimit, "{}: weight_map names {} files; 1 to {} are read",
                      folder.file(kIndex), names.size(), kMaxShards);
  }
  return std::vector<std::string>(names.begin(), names.end());
}

struct Shards {
  std::vector<os::MappedFile> mappings;
  std::vector<SafeTensor> tensors;
  uint64_t bytes = 0;
};

Result<Shards> open_shards(const Folder& folder) {
  WEIR_ASSIGN(const std::vector<std::string> names, shard_names(folder));
  Shards s;
  for (const std::string& name : names) {
    WEIR_ASSIGN(os::MappedFile mapping, os::MappedFile::open(folder.file(name)));
    WEIR_ASSIGN(std::vector<SafeTensor> tensors,
                parse_safetensors(mapping.bytes(), folder.file(name)));
    s.bytes += mapping.bytes().size();
    s.mappings.push_back(std::move(mapping));
    std::move(tensors.begin(), tensors.end(), std::back_inserter(s.tensors));
    if (s.tensors.size() > gguf::kMaxTensors) {
      return make_error(ErrorCode::kLimit, "{}: more than {} tensors", folder.path(),
                        gguf::kMaxTensors);
    }
  }
  return s;
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
  WEIR_ASSIGN(Shards shards, open_shards(folder));
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
