#include "ops/project/project.h"

#include <filesystem>
#include <system_error>

#include "ops/intake/intake.h"
#include "os/file.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolders[] = {"envs", "evidence", "releases"};

// A folder without files would not be kept by git.
constexpr const char* kKeep = ".gitkeep";

Error no_file(const std::string& path) {
  return make_error(ErrorCode::kIo, "{} is there and is no file: move it away", path);
}

}  // namespace

Result<Project> Project::init(const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error)) {
    return make_error(ErrorCode::kUsage, "{} is a file; a project is a folder", folder);
  }
  Project project(folder);
  std::vector<std::string> folders(std::begin(kFolders), std::end(kFolders));
  for (const char* name : kEnvironments) folders.push_back(std::string("envs/") + name);
  for (const std::string& name : folders) {
    const fs::path path = fs::path(folder) / name;
    const bool there = fs::is_directory(path, error);
    fs::create_directories(path, error);
    if (error) {
      return make_error(ErrorCode::kIo, "cannot make {}: {}", path.string(), error.message());
    }
    if (name != "envs" && fs::is_empty(path, error))
      WEIR_TRY(os::write_file_atomic((path / kKeep).string(), ""));
    if (!there) project.made_.push_back(name + "/");
  }
  const fs::file_status intake = fs::status(project.intake(), error);
  if (fs::exists(intake) && !fs::is_regular_file(intake)) return no_file(project.intake());
  if (!fs::exists(intake)) {
    WEIR_TRY(os::write_file_atomic(project.intake(), intake_yaml({})));
    project.made_.emplace_back("intake.yaml");
  }
  return project;
}

Result<Project> Project::open(const std::string& folder) {
  Project project(folder.empty() ? "." : folder);
  std::error_code error;
  const fs::file_status intake = fs::status(project.intake(), error);
  if (fs::is_regular_file(intake)) return project;
  if (fs::exists(intake)) return no_file(project.intake());
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
    return os::system_error("open", project.intake(), error.value());
  return make_error(ErrorCode::kNotFound,
                    "{} is no project: it has no intake.yaml; weir init {} "
                    "makes one",
                    project.folder(), project.folder());
}

}  // namespace weir::ops
