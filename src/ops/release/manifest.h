// What a release is: the list of its files with their hashes, the model, and what its review said.
// Its name is the SHA-256 of the manifest's bytes, so nothing in it can change without the name.
// JSON, schema "weir-release-1". Taken for hostile when read. Pure. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct ReleaseFile {
  std::string path;  // "config/serve.sh", "reviewed/…", "evidence/load.json", "review.json"
  std::string sha256;
  uint64_t bytes = 0;
};

struct ReleaseModel {
  std::string name;    // for people
  std::string where;   // a path, or an address that an engine fetches
  std::string sha256;  // of the file or folder; of a repository of the text "NAME@COMMIT"
  uint64_t bytes = 0;  // 0 of a repository
};

struct Manifest {
  int64_t created_unix_s = 0;
  std::string name;  // as the user called it; may be empty
  std::string who;
  std::string from, to;       // environments: reviewed in, made for
  std::string previous;       // the release in effect in `to` before; may be empty
  std::string config_sha256;  // of what was reviewed
  std::string numerics;       // what decides about the numbers (candidate.h)
  ReleaseModel model;
  std::vector<ReleaseFile> files;  // by path, each once

  const ReleaseFile* file(std::string_view path) const;
};

inline constexpr size_t kMaxManifestBytes = 4 << 20;
inline constexpr size_t kMaxReleaseFiles = 4096;

std::string manifest_text(const Manifest& manifest);
// Error kCorrupt: "NAME: …" with the member; for text that is not as manifest_text writes it; for a
// path that leaves the release's folder.
Result<Manifest> parse_manifest(std::string_view text, std::string_view name);
// Whether a path may stand in a manifest: parts of letters, digits, ".", "_", "-", "+", "@", none
// of them "." or "..", joined by "/".
bool is_release_path(std::string_view path);
std::string manifest_id(std::string_view text);  // 64 hexadecimal digits
// The first 12, for people.
std::string short_id(std::string_view id);

}  // namespace weir::ops
