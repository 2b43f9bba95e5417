// Files that are not in the folder of gateway.yaml, where they are looked for, but in the one where
// the program was started. Whoever wrote them so meant the latter.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "gateway/config.h"

namespace weir::gateway {

// A line of each: "ledger.file: …". Looks at the disk; any thread.
std::vector<std::string> misplaced(const std::vector<NamedFile>& files);

// The error of a file that is not there, with such a line behind it where the file is misplaced.
Error say_misplaced(Error error, const std::vector<NamedFile>& files);

}  // namespace weir::gateway
