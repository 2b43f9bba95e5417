// A folder that appears under its name with all its files, or not at all.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::os {

// One thread. Destruction without commit() removes the temporary folder ("<path>.tmp-<pid>-<n>",
// beside the target) and what is in it; what a kill leaves, the next create() of the same path
// does.
class AtomicFolder {
 public:
  // `path`, with or without a slash at its end, must not be there: kIo, and for what the operating
  // system refuses; kNotFound where its parent is missing.
  static Result<AtomicFolder> create(std::string path);
  AtomicFolder(AtomicFolder&& other) noexcept;
  AtomicFolder& operator=(AtomicFolder&& other) noexcept;
  ~AtomicFolder();

  // Where a file of that name is to be written, whole and synced (AtomicFile), before commit().
  std::string file(std::string_view name) const;
  // Renames to the target and syncs its directory. kIo when something has taken its place
  // meanwhile. Nothing may be called after it.
  Status commit();

 private:
  AtomicFolder() = default;
  void discard();

  std::string path_;
  std::string temporary_;  // empty: nothing to remove
  int lock_ = -1;          // the folder, locked (os/stale_temporaries.h)
};

}  // namespace weir::os
