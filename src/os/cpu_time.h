// Whose the cores were: the processor time of everything on them beside this process's own.
#pragma once

#include <span>
#include <string>

#include "base/result.h"

namespace weir::os {

struct CpuTime {
  double all_s = 0;  // of all processes and the kernel since boot, and what the hypervisor took
  double own_s = 0;  // of this process's threads, ended ones too
};

// Of those cores (cpu.h: allowed_cpus()). Any thread. The kernel counts in hundredths of a second,
// so differences over less than a second say little. <root>/proc/stat is read; root is for tests.
// Error: kIo where it does not tell of each of them.
Result<CpuTime> cpu_time(std::span<const int> cpus, const std::string& root = "");

// Cores that others had on average between two readings `seconds` apart; never negative.
double others_cores(const CpuTime& before, const CpuTime& after, double seconds);

}  // namespace weir::os
