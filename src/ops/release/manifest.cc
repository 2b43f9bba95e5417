#include "ops/release/manifest.h"

#include <algorithm>

#include "ops/release/json_fields.h"
#include "ops/release/sha256.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kSchema = "weir-release-1";
constexpr int64_t kMaxInteger = int64_t{1} << 53;

Result<ReleaseModel> model_of(const Json& json, const std::string& name) {
  const JsonFields fields(json, name);
  WEIR_TRY(fields.exactly({"name", "where", "sha256", "bytes"}));
  ReleaseModel out;
  WEIR_ASSIGN(out.name, fields.text("name"));
  WEIR_ASSIGN(out.where, fields.text("where"));
  WEIR_ASSIGN(out.sha256, fields.hex("sha256"));
  WEIR_ASSIGN(const int64_t bytes, fields.integer("bytes", 0, kMaxInteger));
  out.bytes = static_cast<uint64_t>(bytes);
  return out;
}

Result<ReleaseFile> file_of(const Json& json, const std::string& name) {
  const JsonFields fields(json, name);
  WEIR_TRY(fields.exactly({"path", "sha256", "bytes"}));
  ReleaseFile out;
  WEIR_ASSIGN(out.path, fields.text("path"));
  if (!is_release_path(out.path)) return fields.bad("path", "a path inside the release");
  WEIR_ASSIGN(out.sha256, fields.hex("sha256"));
  WEIR_ASSIGN(const int64_t bytes, fields.integer("bytes", 0, kMaxInteger));
  out.bytes = static_cast<uint64_t>(bytes);
  return out;
}

Result<Manifest> manifest_of(const Json& json, const std::string& name) {
  const JsonFields fields(json, name);
  WEIR_TRY(fields.exactly({"schema", "created_unix_s", "name", "who", "from", "to", "previous",
                           "config_sha256", "numerics", "model", "files"}));
  WEIR_ASSIGN(const std::string schema, fields.text("schema"));
  if (schema != kSchema) return fields.bad("schema", fmt::format("\"{}\"", kSchema));
  Manifest out;
  WEIR_ASSIGN(out.created_unix_s, fields.integer("created_unix_s", 0, kMaxInteger));
  WEIR_ASSIGN(out.name, fields.text("name"));
  WEIR_ASSIGN(out.who, fields.text("who"));
  WEIR_ASSIGN(out.from, fields.text("from"));
  WEIR_ASSIGN(out.to, fields.text("to"));
  WEIR_ASSIGN(out.previous, fields.hex("previous", 64, true));
  WEIR_ASSIGN(out.config_sha256, fields.hex("config_sha256"));
  WEIR_ASSIGN(out.numerics, fields.text("numerics", 1 << 16));
  WEIR_ASSIGN(out.model, model_of(*json.find("model"), name + ": model"));
  WEIR_ASSIGN(const Json* files, fields.list("files", kMaxReleaseFiles));
  out.files.reserve(files->size());
  for (const Json& item : files->items()) {
    WEIR_ASSIGN(ReleaseFile file,
                file_of(item, fmt::format("{}: files[{}]", name, out.files.size())));
    if (!out.files.empty() && out.files.back().path >= file.path)
      return fields.bad("files", "in the order of their paths, each once");
    out.files.push_back(std::move(file));
  }
  return out;
}

}  // namespace

const ReleaseFile* Manifest::file(std::string_view path) const {
  const auto it = std::find_if(files.begin(), files.end(),
                               [&](const ReleaseFile& f) { return f.path == path; });
  return it == files.end() ? nullptr : &*it;
}

std::string manifest_text(const Manifest& m) {
  Json j = Json::object();
  j.set("schema", kSchema);
  j.set("created_unix_s", m.created_unix_s);
  j.set("name", m.name);
  j.set("who", m.who);
  j.set("from", m.from);
  j.set("to", m.to);
  j.set("previous", m.previous);
  j.set("config_sha256", m.config_sha256);
  j.set("numerics", m.numerics);
  Json model = Json::object();
  model.set("name", m.model.name);
  model.set("where", m.model.where);
  model.set("sha256", m.model.sha256);
  model.set("bytes", static_cast<int64_t>(m.model.bytes));
  j.set("model", std::move(model));
  Json files = Json::array();
  for (const ReleaseFile& f : m.files) {
    Json file = Json::object();
    file.set("path", f.path);
    file.set("sha256", f.sha256);
    file.set("bytes", static_cast<int64_t>(f.bytes));
    files.push_back(std::move(file));
  }
  j.set("files", std::move(files));
  text::JsonDump dump;
  dump.indent = 1;
  dump.key = ": ";
  return j.dump(dump) + "\n";
}

Result<Manifest> parse_manifest(std::string_view text, std::string_view name) {
  if (text.size() > kMaxManifestBytes)
    return make_error(ErrorCode::kLimit, "{} has over {} bytes", name, kMaxManifestBytes);
  text::JsonLimits limits;
  limits.max_depth = 8;
  limits.max_values = kMaxReleaseFiles * 8;
  auto json = Json::parse(text, limits);
  if (!json.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", name, json.error().message);
  WEIR_ASSIGN(Manifest out, manifest_of(*json, std::string(name)));
  if (manifest_text(out) != text)
    return make_error(ErrorCode::kCorrupt, "{}: not as weir promote writes it", name);
  return out;
}

bool is_release_path(std::string_view path) {
  if (path.empty() || path.size() > 512) return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    for (const char c : part) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (!plain && std::string_view("._-+@").find(c) == std::string_view::npos) return false;
    }
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string manifest_id(std::string_view text) { return sha256_hex(text); }
std::string short_id(std::string_view id) { return std::string(id.substr(0, 12)); }

}  // namespace weir::ops
