#include "cli/model_path.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <vector>

namespace weir::cli {
namespace {

namespace fs = std::filesystem;

// "models" of the working directory, then of each folder above the program (build/release/weir →
// the checkout).
std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders{"models"};
  std::error_code ec;
  fs::path dir = fs::read_symlink("/proc/self/exe", ec).parent_path();
  for (int up = 0; up < 3 && !dir.empty(); ++up, dir = dir.parent_path())
    folders.push_back(dir / "models");
  return folders;
}

std::string names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    if (it->path().extension() == ".gguf") names.push_back(it->path().stem().string());
    if (fs::exists(it->path() / "config.json")) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace

Result<std::string> resolve_model(const std::string& model) {
  std::error_code ec;
  if (fs::exists(model, ec)) return model;
  const bool is_path = model.find('/') != std::string::npos || model.ends_with(".gguf");
  if (is_path) return make_error(ErrorCode::kNotFound, "{}: no such file", model);
  std::string found;
  for (const fs::path& folder : model_folders()) {
    const fs::path path = folder / (model + ".gguf");
    if (fs::exists(path, ec)) return path.string();
    if (fs::exists(folder / model / "config.json", ec)) return (folder / model).string();
    if (const std::string names = names_in(folder); !names.empty() && found.empty()) found = names;
  }
  return make_error(ErrorCode::kNotFound,
                    "model \"{}\" is neither a file nor a name under models/ ({}); give the path "
                    "of a GGUF file or of a "
                    "Hugging Face folder",
                    model, found.empty() ? "no models there" : "there: " + found);
}

std::string model_name(const std::string& path) {
  fs::path last(path);
  if (!last.has_filename()) last = last.parent_path();  // "folder/"
  std::string name = last.filename().string();
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name;
}

}  // namespace weir::cli
