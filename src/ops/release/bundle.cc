#include "ops/release/bundle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <system_error>

#include "ops/release/sha256.h"
#include "os/file.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifestFile = "manifest.json";
constexpr const char* kSignatureFile = "manifest.sig";
// What a run that was killed left of a bundle; the caller holds the project's lock.
constexpr const char* kUnfinished = ".unfinished";

Status write_files(const fs::path& folder, const std::vector<BundleFile>& files) {
  std::error_code error;
  for (const BundleFile& file : files) {
    const fs::path path = folder / file.path;
    fs::create_directories(path.parent_path(), error);
    if (error)
      return make_error(ErrorCode::kIo, "cannot make {}: {}", path.parent_path().string(),
                        error.message());
    WEIR_TRY(os::write_file_atomic(path.string(), file.contents));
  }
  return {};
}

Status check_file(const fs::path& folder, const ReleaseFile& file, const std::string& id) {
  const std::string path = (folder / file.path).string();
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error))) {
    return make_error(ErrorCode::kCorrupt, "release {}: {} is missing, or is no plain file",
                      short_id(id), file.path);
  }
  WEIR_ASSIGN(const FileHash hash, sha256_of_file(path));
  if (hash.bytes == file.bytes && hash.sha256 == file.sha256) return {};
  return make_error(ErrorCode::kCorrupt,
                    "release {}: {} was changed: {} bytes, SHA-256 {}…, not {} and {}…",
                    short_id(id), file.path, hash.bytes, hash.sha256.substr(0, 12), file.bytes,
                    file.sha256.substr(0, 12));
}

Status check_no_more(const fs::path& folder, const Manifest& manifest, const std::string& id) {
  std::set<std::string> known{kManifestFile, kSignatureFile};
  for (const ReleaseFile& f : manifest.files) known.insert(f.path);
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const std::string path = it->path().lexically_relative(folder).string();
    if (it->symlink_status(error).type() == fs::file_type::directory || known.count(path) != 0)
      continue;
    return make_error(ErrorCode::kCorrupt, "release {}: {} does not belong to it", short_id(id),
                      path);
  }
  if (!error) return {};
  return make_error(ErrorCode::kIo, "cannot read {}: {}", folder.string(), error.message());
}

}  // namespace

Result<std::string> write_bundle(const std::string& releases, Manifest manifest,
                                 std::vector<BundleFile> files, const SigningKey& key) {
  std::sort(files.begin(), files.end(),
            [](const BundleFile& a, const BundleFile& b) { return a.path < b.path; });
  if (files.size() > kMaxReleaseFiles)
    return make_error(ErrorCode::kLimit, "a release holds at most {} files", kMaxReleaseFiles);
  manifest.files.clear();
  manifest.files.reserve(files.size());
  for (const BundleFile& file : files) {
    if (!is_release_path(file.path)) {
      return make_error(ErrorCode::kUsage,
                        "{}: a release takes names of letters, digits, \".\", \"_\", \"-\", \"+\" "
                        "and \"@\"; rename it",
                        file.path);
    }
    manifest.files.push_back({file.path, sha256_hex(file.contents), file.contents.size()});
  }
  const std::string text = manifest_text(manifest);
  WEIR_TRY(parse_manifest(text, kManifestFile));  // what could not be read back is not written
  const std::string id = manifest_id(text);
  const fs::path target = fs::path(releases) / id;
  std::error_code error;
  if (fs::exists(target, error)) {
    WEIR_TRY(open_bundle(releases, id, key.public_key()));
    return id;
  }
  const fs::path folder = fs::path(releases) / kUnfinished;
  fs::remove_all(folder, error);
  files.push_back({kManifestFile, text});
  files.push_back({kSignatureFile, key.sign(kSignManifest, id) + "\n"});
  WEIR_TRY(write_files(folder, files));
  if (std::rename(folder.c_str(), target.c_str()) != 0)
    return os::system_error("make", target.string(), errno);
  WEIR_TRY(os::sync_directory_of(target.string()));
  return id;
}

Result<Manifest> open_bundle(const std::string& releases, const std::string& id,
                             const PublicKey& key) {
  const fs::path folder = fs::path(releases) / id;
  std::error_code error;
  if (!is_hex(id) || !fs::is_directory(fs::symlink_status(folder, error)))
    return make_error(ErrorCode::kNotFound, "{} holds no release {}", releases, short_id(id));
  const std::string name = fmt::format("release {}: {}", short_id(id), kManifestFile);
  auto text = os::read_file((folder / kManifestFile).string(), kMaxManifestBytes);
  if (!text.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", name, text.error().message);
  if (manifest_id(*text) != id)
    return make_error(ErrorCode::kCorrupt, "{} was changed: its SHA-256 is not the release's id",
                      name);
  auto signature = os::read_file((folder / kSignatureFile).string(), 1024);
  if (!signature.ok() || !signature->ends_with("\n") ||
      !key.verify(kSignManifest, id,
                  std::string_view(*signature).substr(0, signature->size() - 1))) {
    return make_error(ErrorCode::kCorrupt,
                      "release {}: {} does not hold: it was changed, or signed by another key",
                      short_id(id), kSignatureFile);
  }
  WEIR_ASSIGN(Manifest manifest, parse_manifest(*text, name));
  for (const ReleaseFile& file : manifest.files) WEIR_TRY(check_file(folder, file, id));
  WEIR_TRY(check_no_more(folder, manifest, id));
  return manifest;
}

std::vector<std::string> bundle_ids(const std::string& releases) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(releases, error)) {
    std::string name = entry.path().filename().string();
    if (is_hex(name)) out.push_back(std::move(name));
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::string> find_bundle(const std::string& releases, std::string_view prefix) {
  std::vector<std::string> found;
  for (std::string& id : bundle_ids(releases)) {
    if (prefix.size() >= 4 && id.starts_with(prefix)) found.push_back(std::move(id));
  }
  if (found.size() == 1) return std::move(found.front());
  if (found.empty())
    return make_error(ErrorCode::kNotFound,
                      "{} holds no release \"{}\" (the first 4 digits or more of its id)", releases,
                      prefix);
  return make_error(ErrorCode::kUsage, "{} releases begin with {}: give more digits", found.size(),
                    prefix);
}

Status check_model(const std::string& project_folder, const ReleaseModel& model) {
  if (model.bytes == 0) return {};
  const fs::path given(model.where);
  const std::string path = given.is_absolute() ? model.where : project_folder + "/" + model.where;
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  WEIR_ASSIGN(const FileHash hash, folder ? sha256_of_folder(path) : sha256_of_file(path));
  if (hash.sha256 == model.sha256) return {};
  return make_error(ErrorCode::kCorrupt,
                    "{} is another model than the release's: SHA-256 {}…, not {}…", path,
                    hash.sha256.substr(0, 12), model.sha256.substr(0, 12));
}

}  // namespace weir::ops
