// The files of a Hugging Face folder: its texts, and the shards that hold its tensors. Internal to
// checkpoint/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "os/mapped_file.h"
#include "text/json.h"

namespace weir::checkpoint {

inline constexpr std::string_view kShardIndex = "model.safetensors.index.json";

class Folder {
 public:
  explicit Folder(std::string path);

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const;
  bool has(std::string_view name) const;
  // Errors: those of os::read_file; kCorrupt for what is no JSON, naming the file.
  Result<std::string> text(std::string_view name) const;
  Result<text::Json> json(std::string_view name) const;
  // null where there is no such file.
  Result<text::Json> json_if(std::string_view name) const;

 private:
  std::string path_;
};

struct Shard {
  std::string file;  // its name in the folder
  os::MappedFile mapping;
  std::vector<SafeTensor> tensors;  // views into the mapping
};

// Sorted by name. Errors: kNotFound, kCorrupt, kLimit, naming the file; those of parse_safetensors.
Result<std::vector<Shard>> open_shards(const Folder& folder);

}  // namespace weir::checkpoint
