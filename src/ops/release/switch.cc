#include "ops/release/switch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "ops/release/bundle.h"
#include "ops/release/history.h"
#include "ops/release/pointer.h"
#include "os/file.h"

namespace weir::ops {

Result<ReleaseLock> ReleaseLock::take(const Project& project) {
  const std::string path = project.releases() + "/.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return os::system_error("make", path, errno);
  ReleaseLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  return make_error(ErrorCode::kIo, "another command is changing the releases of {}",
                    project.folder());
}

ReleaseLock::ReleaseLock(ReleaseLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
ReleaseLock::~ReleaseLock() {
  if (fd_ >= 0) ::close(fd_);
}

std::string audit_path(const Project& project) { return project.releases() + "/audit.db"; }
std::string public_key_path(const Project& project) { return project.path("release.pub"); }

LogState read_log_state(const Project& project, const PublicKey& key) {
  LogState out;
  const auto read_rows = [&]() -> Status {
    WEIR_ASSIGN(const AuditLog log, AuditLog::open(audit_path(project), false));
    WEIR_ASSIGN(out.rows, log.rows());
    return {};
  };
  const Status read = read_rows();
  if (!read.ok() && read.error().code != ErrorCode::kNotFound) {
    constexpr std::string_view kPrefix = "the audit log: ";  // every problem is one of it
    const std::string& message = read.error().message;
    out.problems.push_back(message.substr(message.starts_with(kPrefix) ? kPrefix.size() : 0));
    return out;
  }
  const auto head = read_log_head(log_head_path(audit_path(project)), key);
  if (!head.ok()) out.problems.push_back(head.error().message);
  for (std::string& p : check_log(out.rows, head.ok() ? *head : LogHead(), key))
    out.problems.push_back(std::move(p));
  for (const char* env : kEnvironments) {
    const auto pointer = read_pointer(project.environment(env), env, key);
    if (!pointer.ok()) {
      out.problems.push_back(pointer.error().message);
      continue;
    }
    for (std::string& p : check_pointer(out.rows, env, *pointer))
      out.problems.push_back(std::move(p));
    if (*pointer) out.pointers.push_back(**pointer);
  }
  return out;
}

std::vector<std::string> problems_in_effect(const Project& project, const LogState& state,
                                            const PublicKey& key) {
  std::vector<std::string> out;
  for (const Pointer& p : state.pointers) {
    const auto bundle = open_bundle(project.releases(), p.release, key);
    if (!bundle.ok())
      out.push_back(fmt::format("in effect in {}: {}", p.env, bundle.error().message));
  }
  return out;
}

Status check_chain(const Project& project, const PublicKey& key) {
  const LogState state = read_log_state(project, key);
  if (state.problems.empty()) return {};
  return make_error(ErrorCode::kCorrupt, "the audit log: {}; see weir log verify",
                    state.problems.front());
}

Result<std::vector<std::string>> close_interrupted(const Project& project, AuditLog& log,
                                                   const SigningKey& key, const Actor& actor) {
  std::vector<std::string> out;
  WEIR_ASSIGN(const std::vector<AuditRow> rows, log.rows());
  for (const char* env : kEnvironments) {
    const std::optional<AuditRow> open = open_switch(rows, env);
    if (!open) continue;
    WEIR_ASSIGN(const std::optional<Pointer> pointer,
                read_pointer(project.environment(env), env, key.public_key()));
    const bool took_effect = pointer && pointer->log_seq == open->seq;
    AuditRow row;
    row.unix_s = actor.unix_s;
    row.who = actor.who;
    row.action = took_effect ? kActInEffect : kActAbandoned;
    row.env = env;
    row.release = open->release;
    row.details = fmt::format("{{\"row\":{},\"closed\":\"later\"}}", open->seq);
    WEIR_TRY(log.append(std::move(row), key));
    out.push_back(fmt::format("the {} of {} to {} (row {}) was cut short: it {}", open->action, env,
                              short_id(open->release), open->seq,
                              took_effect ? "had taken effect" : "did not take effect"));
  }
  return out;
}

Status switch_release(const Project& project, AuditLog& log, const SigningKey& key,
                      const Actor& actor, const std::string& action, const std::string& env,
                      const std::string& release, const std::string& details,
                      const SwitchHook& hook) {
  const auto done = [&](SwitchStep step) {
    if (hook) hook(step);
  };
  AuditRow row;
  row.unix_s = actor.unix_s;
  row.who = actor.who;
  row.action = action;
  row.env = env;
  row.release = release;
  row.details = details;
  WEIR_ASSIGN(const AuditRow announced, log.append(row, key));
  done(SwitchStep::kAnnounced);
  const Pointer pointer{env, release, announced.seq, announced.hash};
  WEIR_TRY(os::write_file_atomic(project.environment(env) + "/" + kPointerFile,
                                 pointer_text(pointer, key)));
  done(SwitchStep::kPointed);
  row.action = kActInEffect;
  row.details = fmt::format("{{\"row\":{}}}", announced.seq);
  WEIR_TRY(log.append(std::move(row), key));
  done(SwitchStep::kClosed);
  return {};
}

}  // namespace weir::ops
