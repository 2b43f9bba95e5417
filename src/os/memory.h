// How much memory this process can still take.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace weir::os {

// The smaller of MemAvailable and what each cgroup v2 limit above this process leaves (limit -
// current + inactive file pages). root is for tests. Errors: kIo when /proc/meminfo cannot be read
// or understood.
Result<uint64_t> available_memory_bytes(const std::string& root = "");

// Physical memory of the machine, cut by the cgroup limits. Errors as above.
Result<uint64_t> total_memory_bytes(const std::string& root = "");

// Resident memory of this process now, 0 when /proc does not tell.
uint64_t resident_bytes();
// The most it ever had, 0 when the system does not tell.
uint64_t peak_resident_bytes();

}  // namespace weir::os
