#include "os/atomic_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "os/file.h"
#include "os/stale_temporaries.h"
#include "os/temporaries.h"

namespace weir::os {
namespace {

// Names tried before giving up; a collision needs a leftover of a crashed process with our pid.
constexpr int kTemporaryNames = 100;

Error taken(const std::string& path) {
  return make_error(ErrorCode::kIo, "{} is there already; name a folder that is not, or remove it",
                    path);
}

bool is_there(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

Result<AtomicFolder> AtomicFolder::create(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (is_there(path)) return taken(path);
  remove_stale_temporaries(path);
  AtomicFolder folder;
  folder.path_ = std::move(path);
  for (int n = 0; n < kTemporaryNames; ++n) {
    std::string name = fmt::format("{}.tmp-{}-{}", folder.path_, ::getpid(), n);
    if (is_there(name)) continue;
    remember_temporary(name);  // before it is there: a signal may come at any time
    if (::mkdir(name.c_str(), 0777) == 0) {
      folder.lock_ = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (folder.lock_ >= 0) (void)::flock(folder.lock_, LOCK_EX | LOCK_NB);
      folder.temporary_ = std::move(name);
      return folder;
    }
    const int reason = errno;
    forget_temporary(name);
    if (reason != EEXIST) return system_error("make the folder", folder.path_, reason);
  }
  return system_error("make the folder", folder.path_, EEXIST);
}

AtomicFolder::AtomicFolder(AtomicFolder&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      lock_(std::exchange(other.lock_, -1)) {}

AtomicFolder& AtomicFolder::operator=(AtomicFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(lock_, other.lock_);
  return *this;
}

AtomicFolder::~AtomicFolder() { discard(); }

void AtomicFolder::discard() {
  if (lock_ >= 0) ::close(std::exchange(lock_, -1));
  if (temporary_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(temporary_, ignored);
  forget_temporary(std::exchange(temporary_, {}));
}

std::string AtomicFolder::file(std::string_view name) const {
  return fmt::format("{}/{}", temporary_, name);
}

Status AtomicFolder::commit() {
  // rename() takes an empty folder's place without a word; one with files it refuses.
  if (is_there(path_)) return taken(path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    discard();
    return system_error("rename to", path_, reason);
  }
  forget_temporary(std::exchange(temporary_, {}));
  discard();
  return sync_directory_of(path_);
}

}  // namespace weir::os
