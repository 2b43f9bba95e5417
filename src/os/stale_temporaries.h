// Temporary files and folders of processes that were killed.
#pragma once

#include <string>
#include <string_view>

namespace weir::os {

// Whether a file of this name is what AtomicFile or AtomicFolder writes before it replaces another:
// none of a user's own.
bool is_temporary_name(std::string_view name);

// Removes what a process that is no more left beside `path` while it wrote it with AtomicFile or
// AtomicFolder ("<path>.tmp-<pid>-<n>"). What a process of this machine still writes stays: its
// number is in use, or, where it has numbers of its own, as in a container, it holds a lock. Says
// nothing of what cannot be removed: it is in nobody's way.
void remove_stale_temporaries(const std::string& path);

}  // namespace weir::os
