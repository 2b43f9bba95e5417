// The snapshots that travel inside the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/engines/snapshot.h"

namespace weir::ops {

struct EngineVersion {
  std::string_view engine;
  std::string_view version;
  std::string_view text;  // of its file
};

// By engine, its versions oldest first. Any thread.
const std::vector<EngineVersion>& engine_versions();
// By name, each once.
std::vector<std::string> engine_names();

// < 0, 0, > 0. Runs of digits are compared as numbers, in their order; "0.5.12.post1" is after
// "0.5.12", a leading "v" does not count.
int compare_versions(std::string_view a, std::string_view b);

// The snapshot of that version; without one the newest that is not after it, else the oldest.
// version empty: the newest. Error kUsage: the engine is not known, with those that are.
Result<EngineSnapshot> engine_snapshot(std::string_view engine, std::string_view version = "");

}  // namespace weir::ops
