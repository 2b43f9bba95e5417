// --project and --env of commands whose reports are evidence for weir review.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "ops/project/project.h"
#include "ops/release/keys.h"
#include "ops/review/evidence.h"

namespace weir::cli {

struct SubjectOptions {
  std::string project;
  std::string env = "stage";
  int64_t replicas = 1;
};

// replicas: whether the report is of so many of them.
void add_subject_options(CLI::App* command, SubjectOptions& o, bool replicas);
// nullopt without --project. Errors: kUsage for an environment without files or model.json; those
// of reading them.
Result<std::optional<ops::Subject>> read_subject(const SubjectOptions& o);

// The project's public key; nullopt where there is none. Errors: those of PublicKey::read.
Result<std::optional<ops::PublicKey>> project_key(const ops::Project& project);
// Error kUsage: no environment of that name, with those there are.
Status check_environment(const std::string& flag, const std::string& env);

}  // namespace weir::cli
