// releases/ID/: a release's files beside manifest.json and manifest.sig. Written once, whole or not
// at all; checked whole whenever it is used.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/release/keys.h"
#include "ops/release/manifest.h"

namespace weir::ops {

struct BundleFile {
  std::string path;  // is_release_path()
  std::string contents;
};

// Fills in manifest.files, writes and signs; one process at a time (ReleaseLock). Returns the id. A
// bundle that is there already is checked and stays. Errors: kIo; those of open_bundle; kUsage for
// a path that cannot stand in a manifest; kLimit for over kMaxReleaseFiles files.
Result<std::string> write_bundle(const std::string& releases, Manifest manifest,
                                 std::vector<BundleFile> files, const SigningKey& key);

// The manifest of a bundle of which everything was checked: the id against the manifest's bytes,
// the signature, size and hash of each file, and that there is no other file. Error kCorrupt names
// the file and what is wrong; kNotFound.
Result<Manifest> open_bundle(const std::string& releases, const std::string& id,
                             const PublicKey& key);

// The ids of the bundles, in order; unfinished ones are left out.
std::vector<std::string> bundle_ids(const std::string& releases);
// The one that begins with `prefix` (at least 4 digits). Errors: kNotFound; kUsage for several.
Result<std::string> find_bundle(const std::string& releases, std::string_view prefix);

// Whether the model is what the manifest says, where it is a file or folder of this machine (its
// path is relative to the project's folder). Error kCorrupt, kNotFound with the path.
Status check_model(const std::string& project_folder, const ReleaseModel& model);

}  // namespace weir::ops
