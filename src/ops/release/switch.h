// Which release is in effect, changed so that a kill at any moment leaves the old or the new one
// and a log that tells which: the switch is announced in the log, the pointer is replaced in one
// step, the switch is closed in the log. What was cut short is closed by the next command, by what
// the pointer says.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/project/project.h"
#include "ops/release/audit_log.h"
#include "ops/release/keys.h"
#include "ops/release/manifest.h"

namespace weir::ops {

// Held while a command changes releases: one at a time for a project.
class ReleaseLock {
 public:
  // Error kIo, also when another command holds it.
  static Result<ReleaseLock> take(const Project& project);
  ReleaseLock(ReleaseLock&& other) noexcept;
  ReleaseLock& operator=(ReleaseLock&&) = delete;
  ~ReleaseLock();

 private:
  explicit ReleaseLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

// Who acts, and when.
struct Actor {
  std::string who;
  int64_t unix_s = 0;
};

enum class SwitchStep : uint8_t { kAnnounced, kPointed, kClosed };
// Called after each step; tests end the process in it.
using SwitchHook = std::function<void(SwitchStep)>;

std::string audit_path(const Project& project);       // releases/audit.db
std::string public_key_path(const Project& project);  // release.pub

// The log held against its head and the pointers.
struct LogState {
  std::vector<AuditRow> rows;
  std::vector<Pointer> pointers;
  std::vector<std::string> problems;  // each a sentence; empty: nothing is wrong
};
// Without a log there are no rows, and nothing is wrong where nothing else says that there were.
// What cannot be read is a problem, too.
LogState read_log_state(const Project& project, const PublicKey& key);
// What is wrong with the bundles in effect: gone, changed, added to. Apart from check_chain: the
// way out is to promote or to roll back.
std::vector<std::string> problems_in_effect(const Project& project, const LogState& state,
                                            const PublicKey& key);
// Error kCorrupt with the first problem.
Status check_chain(const Project& project, const PublicKey& key);

// Closes switches that were cut short, by what the pointers say. Returns a sentence for each.
Result<std::vector<std::string>> close_interrupted(const Project& project, AuditLog& log,
                                                   const SigningKey& key, const Actor& actor);

// action: kActPromote or kActRollback. The caller has checked the bundle and holds the lock.
// details: a JSON object. Errors: kIo, and those of the log.
Status switch_release(const Project& project, AuditLog& log, const SigningKey& key,
                      const Actor& actor, const std::string& action, const std::string& env,
                      const std::string& release, const std::string& details,
                      const SwitchHook& hook = {});

// What a rollback proved.
struct RollbackProof {
  std::string from, to;  // releases
  Manifest manifest;     // of `to`
  size_t files = 0;      // whose hashes were checked, before and after
  bool model_checked = false;
  bool first = false;  // a rehearsal without an earlier release: the present one was restored
};

struct RollbackOptions {
  std::string env;
  std::string to;           // a whole id; empty: the last good one
  bool check_model = true;  // hash the model's file, too
};

// Which release a rollback of `env` goes back to, checked whole. Errors: kUsage when there is none,
// or `to` was never in effect; those of open_bundle and check_model.
Result<RollbackProof> plan_rollback(const Project& project, const AuditLog& log,
                                    const PublicKey& key, const RollbackOptions& options);
// Does it, and checks again what is then in effect.
Result<RollbackProof> roll_back(const Project& project, AuditLog& log, const SigningKey& key,
                                const Actor& actor, const RollbackOptions& options,
                                const SwitchHook& hook = {});
// The same into a folder of its own, which is then removed; writes a kActRehearsal row with the
// seconds that it took. Where there is no earlier release, the present one is restored. Nothing
// that is in effect changes.
Result<RollbackProof> rehearse_rollback(const Project& project, AuditLog& log,
                                        const SigningKey& key, const Actor& actor,
                                        const RollbackOptions& options, double& seconds);

}  // namespace weir::ops
