// What no output of a command may take the place of.
#pragma once

#include <string>
#include <vector>

namespace weir::ops {

// The paths of a project's files that people fill and commands keep (ops/project/project.h),
// whether they are there or not. plan.json is none: weir plan -o writes it anew.
std::vector<std::string> own_files(const std::string& folder);

}  // namespace weir::ops
