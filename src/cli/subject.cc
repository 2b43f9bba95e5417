#include "cli/subject.h"

#include <algorithm>

#include "ops/release/switch.h"
#include "ops/review/candidate.h"

namespace weir::cli {

void add_subject_options(CLI::App* command, SubjectOptions& o, bool replicas) {
  CLI::Option* project = command->add_option(
      "--project", o.project, "the report is evidence for weir review of this project's candidate");
  command->add_option("--env", o.env, "whose: dev, stage or prod")->needs(project);
  if (!replicas) return;
  command->add_option("--replicas", o.replicas, "replicas behind --url")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->needs(project);
}

Status check_environment(const std::string& flag, const std::string& env) {
  if (std::find(std::begin(ops::kEnvironments), std::end(ops::kEnvironments), env) !=
      std::end(ops::kEnvironments))
    return {};
  return make_error(ErrorCode::kUsage, "{} must be one of {}, not \"{}\"", flag,
                    fmt::join(ops::kEnvironments, ", "), env);
}

Result<std::optional<ops::PublicKey>> project_key(const ops::Project& project) {
  auto key = ops::PublicKey::read(ops::public_key_path(project));
  if (key.ok()) return std::optional<ops::PublicKey>(*key);
  if (key.error().code == ErrorCode::kNotFound) return std::optional<ops::PublicKey>();
  return key.error();
}

Result<std::optional<ops::Subject>> read_subject(const SubjectOptions& o) {
  if (o.project.empty()) return std::optional<ops::Subject>();
  WEIR_TRY(check_environment("--env", o.env));
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.project));
  WEIR_ASSIGN(const std::optional<ops::PublicKey> key, project_key(project));
  WEIR_ASSIGN(const ops::Candidate candidate,
              ops::read_candidate(project, o.env, key ? &*key : nullptr));
  if (candidate.files.empty() || candidate.model.sha256.empty()) {
    return make_error(ErrorCode::kUsage,
                      "{} has no {}: a report could not say of what it is (weir review --env {} "
                      "--model FILE)",
                      project.environment(o.env),
                      candidate.files.empty() ? "configuration" : "model.json", o.env);
  }
  return std::optional<ops::Subject>(candidate.subject(o.replicas));
}

}  // namespace weir::cli
