// A program's output, waited for no longer than a limit.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::os {

struct ProgramLimits {
  int timeout_ms = 10'000;
  size_t max_bytes = 4 << 20;  // of standard output
};

// Where `name` is among the system's folders for programs (not PATH: what is run must not depend on
// the caller's), or "".
std::string find_program(const std::string& name);

// Runs command[0], an absolute path, with the rest as arguments, no standard input, and standard
// error thrown away; what it starts dies with it at the end of its time. Returns standard output;
// with another exit code than 0 too where `any_exit`. Errors: kIo when it cannot run, ends by a
// signal, fails or takes too long; kLimit when it writes more than max_bytes. Any thread.
Result<std::string> run_program(const std::vector<std::string>& command,
                                const ProgramLimits& limits, bool any_exit = false);

}  // namespace weir::os
