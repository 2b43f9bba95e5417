#include "os/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace weir::os {
namespace {

// linux/landlock.h, spelled out: the headers of a build are older than the kernels it meets.
constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;
constexpr uint32_t kVersionQuery = 1;
constexpr int kRulePathBeneath = 1;

constexpr uint64_t kExecute = 1 << 0;
constexpr uint64_t kWriteFile = 1 << 1;
constexpr uint64_t kReadFile = 1 << 2;
constexpr uint64_t kReadDir = 1 << 3;
constexpr uint64_t kFirst = (1 << 13) - 1;  // all of version 1
constexpr uint64_t kRefer = 1 << 13;        // of version 2
constexpr uint64_t kTruncate = 1 << 14;     // of version 3

struct Ruleset {
  uint64_t files;
};
struct __attribute__((packed)) BeneathRule {
  uint64_t allowed;
  int32_t folder;
};

uint64_t handled(int version) {
  return kFirst | (version >= 2 ? kRefer : 0) | (version >= 3 ? kTruncate : 0);
}

bool allow(int ruleset, const char* path, uint64_t folder_rights, uint64_t file_rights) {
  const int fd = ::open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT || errno == EACCES;
  struct stat what {};
  const bool known = ::fstat(fd, &what) == 0;
  const BeneathRule rule{S_ISDIR(what.st_mode) ? folder_rights : file_rights, fd};
  const bool added = known && ::syscall(kAddRule, ruleset, kRulePathBeneath, &rule, 0) == 0;
  const int reason = errno;
  ::close(fd);
  errno = reason;
  return added;
}

}  // namespace

int landlock_version() {
  const long version = ::syscall(kCreateRuleset, nullptr, size_t{0}, kVersionQuery);
  return version < 0 ? 0 : static_cast<int>(version);
}

bool landlock_allow(int version, std::span<const char* const> readable, const char* folder) {
  const Ruleset wanted{handled(version)};
  const auto ruleset = static_cast<int>(::syscall(kCreateRuleset, &wanted, sizeof wanted, 0));
  if (ruleset < 0) return false;
  constexpr uint64_t kRead = kExecute | kReadFile;
  bool good = allow(ruleset, folder, wanted.files, kRead | kWriteFile);
  for (const char* path : readable) good = good && allow(ruleset, path, kRead | kReadDir, kRead);
  // Whatever is printed there is gone.
  good = good && allow(ruleset, "/dev/null", kRead, kRead | kWriteFile);
  good = good && ::syscall(kRestrictSelf, ruleset, 0) == 0;
  const int reason = errno;
  ::close(ruleset);
  errno = reason;
  return good;
}

}  // namespace weir::os
