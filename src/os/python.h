// Where the machine's Python is.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace weir::os {

struct Python {
  std::string program;                // absolute path of the interpreter itself
  std::string version;                // "3.11.2"
  std::vector<std::string> readable;  // its own folders: what it needs to read beside the system's
};

// Asks `command` (a name on PATH or a path), which is trusted and may be a shim. Errors: kNotFound
// when it does not run or is older than 3.6.
Result<Python> find_python(const std::string& command);

}  // namespace weir::os
