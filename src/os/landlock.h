// Landlock (Linux 5.13 and later): which files this process, and what it runs, may read and write.
// Internal to os/.
#pragma once

#include <span>

namespace weir::os {

// The version that the kernel has; 0: none.
int landlock_version();

// From now on and for good: `readable` files and folders may be read and run, everything below
// `folder` may be read, written, made and removed, and nothing else. Precondition: no new
// privileges were asked for. Allocates nothing, so it may stand between fork and exec. False: errno
// says why.
bool landlock_allow(int version, std::span<const char* const> readable, const char* folder);

}  // namespace weir::os
