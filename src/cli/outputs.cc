#include "cli/outputs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "cli/model_path.h"
#include "gguf/split.h"
#include "os/file.h"
#include "os/stale_temporaries.h"

namespace weir::cli {
namespace {

std::string folder_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

Status check_writable(const std::string& flag, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ec;
  if (fs::exists(path, ec) && !fs::is_regular_file(path, ec)) {
    return make_error(ErrorCode::kUsage, "{} {} cannot be written: it is {}; name a file", flag,
                      path, fs::is_directory(path, ec) ? "a folder" : "a device, a pipe or such");
  }
  if (!fs::is_directory(folder_of(path), ec)) {
    return make_error(ErrorCode::kUsage,
                      "{} {} cannot be written: its folder is not there; make it, or name another",
                      flag, path);
  }
  // Permissions, read-only disks, names that are too long: what the end will do is tried.
  if (const auto file = os::AtomicFile::create(path); !file.ok()) {
    return make_error(ErrorCode::kUsage, "{}: {}; name a file where you may write", flag,
                      file.error().message);
  }
  return {};
}

Status check_room(const std::string& flag, const std::string& path, uint64_t bytes) {
  os::remove_stale_temporaries(path);
  WEIR_ASSIGN(const uint64_t free, os::free_disk_bytes(path));
  if (bytes <= free) return {};
  return make_error(ErrorCode::kIo,
                    "{} {} will take {} bytes and the disk has {}: make room, or name a file on "
                    "another disk",
                    flag, path, bytes, free);
}

bool share_a_disk(const std::string& a, const std::string& b) {
  struct stat of_a {
  }, of_b{};
  return ::stat(folder_of(a).c_str(), &of_a) == 0 && ::stat(folder_of(b).c_str(), &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev;
}

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
    WEIR_TRY(check_writable(flag, path));
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
