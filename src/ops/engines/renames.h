// data/engines/renames.yaml: what became of flags that an engine dropped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct Rename {
  std::string engine;
  std::string flag;          // as the older snapshot names it
  std::string since;         // the first version without it, as far as known
  std::string to;            // takes its place with the same value; or empty
  std::string instead;       // what to do; or empty
  bool still_taken = false;  // with a warning, for now
  std::string source;
  bool read = false;  // false: concluded from the snapshots
};

// Error kCorrupt: "NAME:LINE: ...".
Result<std::vector<Rename>> parse_renames(std::string_view text, std::string_view name);
// What travels inside the program. Any thread.
const std::vector<Rename>& renames();
// nullptr when nothing is known of the flag.
const Rename* find_rename(std::string_view engine, std::string_view flag);

}  // namespace weir::ops
