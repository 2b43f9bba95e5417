// Names and places of threads.
#pragma once

#include <string_view>

#include "base/result.h"

namespace weir::os {

// Names the calling thread for ps, gdb and perf; cut to 15 bytes, as the kernel does. Never fails
// visibly.
void set_thread_name(std::string_view name);

// Binds the calling thread to one cpu of allowed_cpus(). Errors: kIo when the kernel refuses (cpu
// offline or not allowed).
Status pin_thread(int cpu);

}  // namespace weir::os
