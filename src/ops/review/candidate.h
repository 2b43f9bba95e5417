// What a review is about: the configuration of an environment and the model that it serves.
//
// The configuration are the files of envs/ENV, all but model.json and release.json; where there are
// none, those of the release in effect. envs/ENV/model.json names the model, where there is none it
// is that of the release in effect:
//   {"schema":"weir-model-1","name":"…","where":"../../model.gguf","sha256":"…","bytes":N}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/project/project.h"
#include "ops/release/keys.h"
#include "ops/release/manifest.h"
#include "ops/review/env_config.h"
#include "ops/review/evidence.h"

namespace weir::ops {

inline constexpr const char* kModelFile = "model.json";

struct Candidate {
  std::string env;
  std::vector<EnvFile> files;  // by path
  EnvConfig config;
  std::string config_sha256;  // of paths and contents
  ReleaseModel model;         // sha256 is empty with neither model.json nor a release
  std::string release;        // the one in effect whose files these are; empty: those of envs/ENV

  // replicas: behind the address that is measured.
  Subject subject(int64_t replicas) const;
  std::string numerics_sha256() const;
};

// key: of the project, for the release in effect; nullptr: there is no key yet, so no release.
// Errors: kIo; kLimit for over 1000 files or 16 MiB; those of open_bundle; kCorrupt for a
// model.json that is none.
Result<Candidate> read_candidate(const Project& project, const std::string& env,
                                 const PublicKey* key);

// The files of envs/ENV that are configuration, by path. Hidden files are left out, but for .env
// and .env.NAME, which Compose reads.
Result<std::vector<EnvFile>> read_env_files(const std::string& folder);

// A model for model.json: a file, a folder, or NAME@COMMIT (40 hexadecimal digits) that an engine
// fetches. `where` becomes relative to the project's folder where it lies below it. Errors: those
// of sha256_of_file; kUsage.
Result<ReleaseModel> model_of(const Project& project, const std::string& model);
std::string model_text(const ReleaseModel& model);
Result<ReleaseModel> parse_model(std::string_view text, std::string_view name);

}  // namespace weir::ops
