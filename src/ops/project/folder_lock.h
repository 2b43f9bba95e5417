// Held while a command reads a file of a folder, changes what it read and writes it back: one at a
// time for a folder, so that no change is lost.
#pragma once

#include <string>

#include "base/result.h"

namespace weir::ops {

// A lock (flock) on the folder itself: it leaves no file, and the kernel ends it with the process.
// One that another command holds is waited for; hold it for as long as files are read and written,
// not while a person or a server is asked.
class FolderLock {
 public:
  // Errors: kNotFound, kIo.
  static Result<FolderLock> take(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace weir::ops
