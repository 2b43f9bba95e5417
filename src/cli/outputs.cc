#include "cli/outputs.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "cli/model_path.h"
#include "gguf/split.h"

namespace weir::cli {

Status check_outputs(const std::vector<std::pair<std::string, std::string>>& outputs,
                     const std::vector<std::string>& inputs) {
  namespace fs = std::filesystem;
  std::error_code ec;
  // Absolute first: of a name that is not there it would leave a relative one without a folder.
  const auto place = [&](const std::string& path) {
    return fs::weakly_canonical(fs::absolute(path, ec), ec);
  };
  std::vector<fs::path> taken;
  taken.reserve(inputs.size() + outputs.size());
  for (const std::string& input : inputs) taken.push_back(place(input));
  for (const auto& [flag, path] : outputs) {
    if (path.empty()) continue;
    const fs::path at = place(path);
    if (std::find(taken.begin(), taken.end(), at) != taken.end()) {
      return make_error(ErrorCode::kUsage,
                        "{} {} is read, or written by another option: give it a name of its own",
                        flag, path);
    }
    if (fs::is_directory(at, ec) || !fs::is_directory(at.parent_path(), ec)) {
      return make_error(ErrorCode::kUsage, "{} {} cannot be written: {}", flag, path,
                        fs::is_directory(at, ec) ? "it is a folder" : "its folder is not there");
    }
    taken.push_back(at);
  }
  return {};
}

std::vector<std::string> model_files(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ec;
  std::vector<std::string> files;
  if (fs::is_directory(path, ec)) {
    for (const auto& entry : fs::directory_iterator(path, ec))
      files.push_back(entry.path().string());
    return files;
  }
  const auto name = gguf::parse_split_name(path);
  if (!name) return {path};
  for (uint64_t i = 1; i <= name->count; ++i) files.push_back(name->part(i));
  return files;
}

Status check_outputs_of_models(const std::vector<std::pair<std::string, std::string>>& outputs,
                               const std::vector<std::string>& models,
                               std::vector<std::string> inputs) {
  for (const std::string& model : models) {
    if (model.empty()) continue;
    WEIR_ASSIGN(const std::string path, resolve_model(model));
    for (std::string& file : model_files(path)) inputs.push_back(std::move(file));
  }
  return check_outputs(outputs, inputs);
}

}  // namespace weir::cli
