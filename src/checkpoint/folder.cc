#include "checkpoint/folder.h"

#include <filesystem>
#include <set>
#include <utility>

#include "gguf/file.h"
#include "os/file.h"

namespace weir::checkpoint {
namespace {

using text::Json;

// The largest tokenizer.json in the field has 35 MB, the largest index 10.
constexpr uint64_t kMaxJsonBytes = 256 << 20;
// Among these, the most values: 2 million, where each of 500,000 merges is a list of two.
constexpr size_t kMaxJsonValues = 8 << 20;
constexpr uint64_t kMaxShards = 1024;
constexpr std::string_view kSingle = "model.safetensors";

// The names of the files that hold tensors. An index may only name files of its own folder.
Result<std::vector<std::string>> shard_names(const Folder& folder) {
  if (!folder.has(kShardIndex)) {
    if (folder.has(kSingle)) return std::vector<std::string>{std::string(kSingle)};
    return make_error(ErrorCode::kNotFound, "{}: neither {} nor {} is there", folder.path(),
                      kSingle, kShardIndex);
  }
  WEIR_ASSIGN(const Json index, folder.json(kShardIndex));
  const Json* map = index.find("weight_map");
  if (map == nullptr || !map->is_object()) {
    return make_error(ErrorCode::kCorrupt, "{}: weight_map must be an object",
                      folder.file(kShardIndex));
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->members()) {
    const bool good = file.is_string() && file.as_string().ends_with(".safetensors") &&
                      file.as_string().find('/') == std::string::npos &&
                      file.as_string().find('\0') == std::string::npos;
    if (!good) {
      return make_error(ErrorCode::kCorrupt,
                        "{}: weight_map: the file of {} must be a *.safetensors of the same folder",
                        folder.file(kShardIndex),
                        text::json_quote(std::string_view(tensor).substr(0, 80), true));
    }
    names.insert(file.as_string());
  }
  if (names.empty() || names.size() > kMaxShards) {
    return make_error(ErrorCode::kLimit, "{}: weight_map names {} files; 1 to {} are read",
                      folder.file(kShardIndex), names.size(), kMaxShards);
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace

Folder::Folder(std::string path) : path_(std::move(path)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
}

std::string Folder::file(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

bool Folder::has(std::string_view name) const {
  std::error_code ec;
  return std::filesystem::exists(file(name), ec);
}

Result<std::string> Folder::text(std::string_view name) const {
  return os::read_file(file(name), kMaxJsonBytes);
}

Result<Json> Folder::json(std::string_view name) const {
  WEIR_ASSIGN(const std::string source, text(name));
  Result<Json> parsed = Json::parse(source, {.max_values = kMaxJsonValues});
  if (parsed.ok()) return parsed;
  return make_error(ErrorCode::kCorrupt, "{}: {}", file(name), parsed.error().message);
}

Result<Json> Folder::json_if(std::string_view name) const {
  return has(name) ? json(name) : Result<Json>(Json());
}

Result<std::vector<Shard>> open_shards(const Folder& folder) {
  WEIR_ASSIGN(const std::vector<std::string> names, shard_names(folder));
  std::vector<Shard> shards;
  size_t tensors = 0;
  for (const std::string& name : names) {
    Shard s;
    s.file = name;
    WEIR_ASSIGN(s.mapping, os::MappedFile::open(folder.file(name)));
    WEIR_ASSIGN(s.tensors, parse_safetensors(s.mapping.bytes(), folder.file(name)));
    tensors += s.tensors.size();
    shards.push_back(std::move(s));
    if (tensors > gguf::kMaxTensors) {
      return make_error(ErrorCode::kLimit, "{}: more than {} tensors", folder.path(),
                        gguf::kMaxTensors);
    }
  }
  return shards;
}

}  // namespace weir::checkpoint
