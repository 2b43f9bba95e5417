// The cgroup v2 limits above this process. Format: Documentation/admin-guide/cgroup-v2.rst of the
// Linux kernel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::os {

// The cgroup directories of this process from the innermost to the root, under
// <root>/sys/fs/cgroup; at most 64. Without cgroup v2 only the root directory. Inside a container
// the path may be one of the host: directories that are not there are still listed.
std::vector<std::string> cgroup_directories(const std::string& root);

// The first number in a text of <directory>/<name>; `fallback` when there is none ("max", no such
// file).
uint64_t cgroup_number(const std::string& directory, std::string_view name, uint64_t fallback);

// The number behind `key` in a "key value" file, or `fallback`.
uint64_t keyed_number(std::string_view text, std::string_view key, uint64_t fallback);

}  // namespace weir::os
