// Temporary files and folders that go when a signal ends the process. AtomicFile and AtomicFolder
// say what they have made; what a run can go on with (OutputSet) is none of it.
#pragma once

#include <string>

namespace weir::os {

// From now on remove_temporaries() removes `path` (of a folder also what is in it) if it is there,
// until it is forgotten. At most 64 at a time, of up to 4,095 bytes; what is more stays for
// remove_stale_temporaries. Any thread.
void remember_temporary(const std::string& path);
void forget_temporary(const std::string& path);

// Removes what is remembered, by the process that remembered it alone: not in a forked child. For
// signal handlers: no memory is taken and no lock.
void remove_temporaries();

// SIGINT, SIGTERM and SIGHUP kill as before, but what is remembered goes first (LastWords does so
// as well). A signal that is ignored stays so, one that is blocked (os::Signals) is not handled.
// Process-wide.
void remove_temporaries_on_signals();

}  // namespace weir::os
