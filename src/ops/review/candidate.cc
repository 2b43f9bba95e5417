#include "ops/review/candidate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "ops/release/bundle.h"
#include "ops/release/json_fields.h"
#include "ops/release/pointer.h"
#include "ops/release/sha256.h"
#include "os/file.h"
#include "os/stale_temporaries.h"
#include "text/json.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 1000;
constexpr uint64_t kMaxFileBytes = 4 << 20;
constexpr uint64_t kMaxBytes = 16 << 20;
constexpr std::string_view kModelSchema = "weir-model-1";

std::string config_hash(const std::vector<EnvFile>& files) {
  std::string list;
  for (const EnvFile& f : files) list += fmt::format("{} {}\n", sha256_hex(f.text), f.path);
  return sha256_hex(list);
}

// Of the release in effect the model, and the configuration where envs/ENV has none; nothing where
// there is no release.
Status read_in_effect(const Project& project, const PublicKey& key, Candidate& out) {
  WEIR_ASSIGN(const std::optional<Pointer> pointer,
              read_pointer(project.environment(out.env), out.env, key));
  if (!pointer) return {};
  WEIR_ASSIGN(const Manifest manifest, open_bundle(project.releases(), pointer->release, key));
  out.model = manifest.model;
  if (!out.files.empty()) return {};
  const std::string folder = project.releases() + "/" + pointer->release + "/config";
  WEIR_ASSIGN(out.files, read_env_files(folder));
  out.release = pointer->release;
  return {};
}

}  // namespace

Subject Candidate::subject(int64_t replicas) const {
  return {env, model.sha256, config_sha256, numerics_sha256(), replicas};
}

std::string Candidate::numerics_sha256() const { return sha256_hex(config.numerics()); }

Result<std::vector<EnvFile>> read_env_files(const std::string& folder) {
  std::vector<EnvFile> out;
  std::error_code error;
  uint64_t bytes = 0;
  fs::recursive_directory_iterator it(folder, error);
  if (error == std::errc::no_such_file_or_directory) return out;
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const std::string path = it->path().lexically_relative(folder).string();
    const std::string name = it->path().filename().string();
    if (name.starts_with(".") && name != ".env" && !name.starts_with(".env.")) {
      if (it->is_directory(error)) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file(error) || path == kModelFile || path == kPointerFile) continue;
    if (os::is_temporary_name(name)) continue;  // a command was killed, or writes this moment
    WEIR_ASSIGN(std::string text, os::read_file(it->path().string(), kMaxFileBytes));
    bytes += text.size();
    out.push_back({path, std::move(text)});
    if (out.size() > kMaxFiles || bytes > kMaxBytes) {
      return make_error(ErrorCode::kLimit,
                        "{} holds over {} files or {} MiB: keep only configuration there", folder,
                        kMaxFiles, kMaxBytes >> 20);
    }
  }
  if (error) return make_error(ErrorCode::kIo, "cannot read {}: {}", folder, error.message());
  std::sort(out.begin(), out.end(),
            [](const EnvFile& a, const EnvFile& b) { return a.path < b.path; });
  return out;
}

Result<Candidate> read_candidate(const Project& project, const std::string& env,
                                 const PublicKey* key) {
  Candidate out;
  out.env = env;
  const std::string folder = project.environment(env);
  WEIR_ASSIGN(out.files, read_env_files(folder));
  if (key != nullptr) WEIR_TRY(read_in_effect(project, *key, out));
  const std::string path = folder + "/" + kModelFile;
  auto text = os::read_file(path, 1 << 16);
  if (text.ok()) {
    WEIR_ASSIGN(out.model, parse_model(*text, path));
  } else if (text.error().code != ErrorCode::kNotFound) {
    return text.error();
  }
  out.config = read_env_config(out.files);
  out.config_sha256 = config_hash(out.files);
  return out;
}

Result<ReleaseModel> model_of(const Project& project, const std::string& model) {
  ReleaseModel out;
  std::error_code error;
  if (!fs::exists(model, error)) {
    const size_t at = model.rfind('@');
    if (at == std::string::npos || at == 0 || !is_hex(std::string_view(model).substr(at + 1), 40)) {
      return make_error(ErrorCode::kUsage,
                        "{} is no file or folder; of a repository give NAME@COMMIT with all 40 "
                        "digits of the commit",
                        model);
    }
    out.name = model.substr(0, at);
    out.where = model;
    out.sha256 = sha256_hex(model);
    return out;
  }
  const bool folder = fs::is_directory(model, error);
  WEIR_ASSIGN(const FileHash hash, folder ? sha256_of_folder(model) : sha256_of_file(model));
  if (hash.bytes == 0) return make_error(ErrorCode::kUsage, "{} is empty", model);
  const fs::path real = fs::weakly_canonical(model, error);
  const fs::path below = real.lexically_relative(fs::weakly_canonical(project.folder(), error));
  out.name = real.filename().string();
  out.where = below.empty() || *below.begin() == ".." ? real.string() : below.string();
  out.sha256 = hash.sha256;
  out.bytes = hash.bytes;
  return out;
}

std::string model_text(const ReleaseModel& model) {
  text::Json j = text::Json::object();
  j.set("schema", kModelSchema);
  j.set("name", model.name);
  j.set("where", model.where);
  j.set("sha256", model.sha256);
  j.set("bytes", static_cast<int64_t>(model.bytes));
  text::JsonDump dump;
  dump.indent = 1;
  dump.key = ": ";
  return j.dump(dump) + "\n";
}

Result<ReleaseModel> parse_model(std::string_view text, std::string_view name) {
  auto json = text::Json::parse(text, {.max_depth = 4, .max_values = 64});
  if (!json.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", name, json.error().message);
  const JsonFields fields(*json, std::string(name));
  WEIR_TRY(fields.exactly({"schema", "name", "where", "sha256", "bytes"}));
  WEIR_ASSIGN(const std::string schema, fields.text("schema"));
  if (schema != kModelSchema) return fields.bad("schema", fmt::format("\"{}\"", kModelSchema));
  ReleaseModel out;
  WEIR_ASSIGN(out.name, fields.text("name"));
  WEIR_ASSIGN(out.where, fields.text("where"));
  WEIR_ASSIGN(out.sha256, fields.hex("sha256"));
  WEIR_ASSIGN(const int64_t bytes, fields.integer("bytes", 0, int64_t{1} << 53));
  out.bytes = static_cast<uint64_t>(bytes);
  return out;
}

}  // namespace weir::ops
