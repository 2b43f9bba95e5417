#include "cli/release_session.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "cli/subject.h"
#include "text/utf8.h"

namespace weir::cli {
namespace {

// user@host.
std::string default_who() {
  const passwd* user = ::getpwuid(::geteuid());
  char host[256] = "";
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return fmt::format("{}@{}", user == nullptr ? std::to_string(::geteuid()) : user->pw_name, host);
}

Result<ops::Actor> actor_of(const ReleaseOptions& o) {
  ops::Actor actor{o.who.empty() ? default_who() : o.who, SystemClock().unix_s()};
  if (actor.who.size() <= 256 && text::is_valid_utf8(actor.who)) return actor;
  return make_error(ErrorCode::kUsage, "--who must be UTF-8 of at most 256 bytes");
}

// The private key, and that it is the project's.
Result<ops::SigningKey> signing_key(const ReleaseOptions& o, const ops::Project& project) {
  const std::string path = o.key.empty() ? default_release_key() : o.key;
  auto key = ops::SigningKey::read(path);
  if (!key.ok() && key.error().code == ErrorCode::kNotFound)
    return make_error(ErrorCode::kUsage, "there is no key {}: weir promote keygen --project {}",
                      path, project.folder());
  if (!key.ok()) return key.error();
  WEIR_ASSIGN(const std::optional<ops::PublicKey> pub, project_key(project));
  if (pub && pub->hex() == key->public_key().hex()) return key;
  return make_error(ErrorCode::kUsage, "{} does not belong to {}{}", path,
                    ops::public_key_path(project),
                    pub ? "" : ", which is not there: weir promote keygen makes it");
}

}  // namespace

std::string default_release_key() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {  // a key in the project's folder would go into its git
    const passwd* user = ::getpwuid(::geteuid());
    home = user == nullptr ? nullptr : user->pw_dir;
  }
  const std::string base = config != nullptr && *config != '\0' ? config
                           : home != nullptr                    ? std::string(home) + "/.config"
                                                                : ".";
  return base + "/weir/release.key";
}

Result<ReleaseSession> begin_release(const ReleaseOptions& o) {
  WEIR_ASSIGN(ops::Project project, ops::Project::open(o.folder));
  WEIR_ASSIGN(ops::SigningKey key, signing_key(o, project));
  WEIR_ASSIGN(ops::Actor actor, actor_of(o));
  std::error_code error;
  std::filesystem::create_directories(project.releases(), error);
  WEIR_ASSIGN(ops::ReleaseLock lock, ops::ReleaseLock::take(project));
  WEIR_TRY(ops::check_chain(project, key.public_key()));
  WEIR_ASSIGN(ops::AuditLog log, ops::AuditLog::open(ops::audit_path(project), true));
  WEIR_ASSIGN(const auto closed, ops::close_interrupted(project, log, key, actor));
  for (const std::string& what : closed) fmt::print(stderr, "weir: {}\n", what);
  return ReleaseSession{std::move(project), std::move(key), std::move(actor), std::move(lock),
                        std::move(log)};
}

void add_key_option(CLI::App* command, ReleaseOptions& o) {
  command
      ->add_option("--key", o.key,
                   "the private key (default: $WEIR_RELEASE_KEY, ~/.config/weir/release.key)")
      ->envname("WEIR_RELEASE_KEY");
}

void add_who_option(CLI::App* command, ReleaseOptions& o) {
  command->add_option("--who", o.who, "who does it, for the audit log (default: user@host)");
}

}  // namespace weir::cli
