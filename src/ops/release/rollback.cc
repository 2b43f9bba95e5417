// Going back to an earlier release, in earnest and as a drill.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <system_error>

#include "ops/release/bundle.h"
#include "ops/release/history.h"
#include "ops/release/pointer.h"
#include "ops/release/switch.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

Result<Pointer> pointer_of(const Project& project, const std::string& env, const PublicKey& key) {
  WEIR_ASSIGN(std::optional<Pointer> pointer, read_pointer(project.environment(env), env, key));
  if (pointer) return *std::move(pointer);
  return make_error(ErrorCode::kUsage,
                    "no release is in effect in {}: there is nothing to go back from", env);
}

std::string details_of(const RollbackProof& proof, double seconds) {
  text::Json j = text::Json::object();
  j.set("from", proof.from);
  j.set("files", static_cast<int64_t>(proof.files));
  j.set("model_checked", proof.model_checked);
  // 0: a repository's, whose commit the engine checks.
  j.set("model_bytes", static_cast<int64_t>(proof.manifest.model.bytes));
  if (seconds >= 0) j.set("seconds", seconds);
  return j.dump();
}

// The bundle's folder copied file by file, so that what is proved are the bytes that were written.
Status copy_bundle(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::create_directories(to, error);
  if (!error) fs::copy(from, to, fs::copy_options::recursive, error);
  if (!error) return {};
  return make_error(ErrorCode::kIo, "cannot copy {} to {}: {}", from, to, error.message());
}

}  // namespace

Result<RollbackProof> plan_rollback(const Project& project, const AuditLog& log,
                                    const PublicKey& key, const RollbackOptions& options) {
  WEIR_TRY(check_chain(project, key));
  WEIR_ASSIGN(const Pointer now, pointer_of(project, options.env, key));
  WEIR_ASSIGN(const std::vector<AuditRow> rows, log.rows());
  RollbackProof proof;
  proof.from = now.release;
  proof.to = options.to;
  if (proof.to.empty()) {
    const std::optional<std::string> good = last_good(rows, options.env);
    if (!good) {
      return make_error(ErrorCode::kUsage, "{} is the first release of {}: there is no earlier one",
                        short_id(now.release), options.env);
    }
    proof.to = *good;
  } else if (!was_in_effect(rows, options.env, proof.to)) {
    return make_error(ErrorCode::kUsage, "{} was never in effect in {}: promote it instead",
                      short_id(proof.to), options.env);
  }
  WEIR_ASSIGN(proof.manifest, open_bundle(project.releases(), proof.to, key));
  proof.files = proof.manifest.files.size();
  if (options.check_model) {
    WEIR_TRY(check_model(project.folder(), proof.manifest.model));
    proof.model_checked = proof.manifest.model.bytes > 0;
  }
  return proof;
}

Result<RollbackProof> roll_back(const Project& project, AuditLog& log, const SigningKey& key,
                                const Actor& actor, const RollbackOptions& options,
                                const SwitchHook& hook) {
  const PublicKey pub = key.public_key();
  WEIR_ASSIGN(RollbackProof proof, plan_rollback(project, log, pub, options));
  if (proof.from == proof.to) {
    return make_error(ErrorCode::kUsage, "{} is in effect in {} already", short_id(proof.to),
                      options.env);
  }
  WEIR_TRY(switch_release(project, log, key, actor, kActRollback, options.env, proof.to,
                          details_of(proof, -1), hook));
  WEIR_ASSIGN(const Pointer now, pointer_of(project, options.env, pub));
  WEIR_ASSIGN(proof.manifest, open_bundle(project.releases(), now.release, pub));
  if (now.release == proof.to) return proof;
  return make_error(ErrorCode::kInternal, "{} points to {} after the rollback to {}", options.env,
                    short_id(now.release), short_id(proof.to));
}

Result<RollbackProof> rehearse_rollback(const Project& project, AuditLog& log,
                                        const SigningKey& key, const Actor& actor,
                                        const RollbackOptions& options, double& seconds) {
  const PublicKey pub = key.public_key();
  const auto start = std::chrono::steady_clock::now();
  RollbackOptions wanted = options;
  WEIR_ASSIGN(const std::vector<AuditRow> rows, log.rows());
  const bool first = wanted.to.empty() && !last_good(rows, options.env);
  if (first) {
    WEIR_ASSIGN(const Pointer now, pointer_of(project, options.env, pub));
    wanted.to = now.release;
  }
  WEIR_ASSIGN(RollbackProof proof, plan_rollback(project, log, pub, wanted));
  proof.first = first;
  const std::string scratch = project.releases() + "/.rehearsal";
  std::error_code ignored;
  fs::remove_all(scratch, ignored);
  const auto restore = [&]() -> Status {
    WEIR_TRY(copy_bundle(project.releases() + "/" + proof.to, scratch + "/" + proof.to));
    const Pointer pointer{options.env, proof.to, rows.back().seq, rows.back().hash};
    WEIR_TRY(os::write_file_atomic(scratch + "/" + kPointerFile, pointer_text(pointer, key)));
    WEIR_ASSIGN(const std::optional<Pointer> read, read_pointer(scratch, options.env, pub));
    WEIR_TRY(open_bundle(scratch, read->release, pub));
    return {};
  };
  const Status restored = restore();
  fs::remove_all(scratch, ignored);
  WEIR_TRY(restored);
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  AuditRow row;
  row.unix_s = actor.unix_s;
  row.who = actor.who;
  row.action = kActRehearsal;
  row.env = options.env;
  row.release = proof.to;
  row.details = details_of(proof, seconds);
  WEIR_TRY(log.append(std::move(row), key));
  return proof;
}

}  // namespace weir::ops
