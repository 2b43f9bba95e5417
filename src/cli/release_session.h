// What commands that change releases or write into their log have in common: project, key, who
// acts, the lock and the log.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "ops/project/project.h"
#include "ops/release/audit_log.h"
#include "ops/release/keys.h"
#include "ops/release/switch.h"

namespace weir::cli {

struct ReleaseOptions {
  std::string folder = ".";
  std::string key;  // empty: default_release_key()
  std::string who;  // empty: user@host
};

void add_key_option(CLI::App* command, ReleaseOptions& o);
void add_who_option(CLI::App* command, ReleaseOptions& o);
std::string default_release_key();

// Holds the lock while it lives.
struct ReleaseSession {
  ops::Project project;
  ops::SigningKey key;
  ops::Actor actor;
  ops::ReleaseLock lock;
  ops::AuditLog log;
};

// The log and what it says are checked first, and what was cut short is closed. Errors: kUsage for
// a key that is missing or not the project's; kCorrupt for a log that was tampered with; kIo while
// another command holds the lock.
Result<ReleaseSession> begin_release(const ReleaseOptions& o);

}  // namespace weir::cli
