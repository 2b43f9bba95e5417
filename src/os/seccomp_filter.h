// The system calls that a sandboxed program is refused, as a classic BPF program for seccomp(2).
// What is not named is allowed: an interpreter needs some two hundred calls, and which ones changes
// with its version. Calls newer than Linux 6.5 do not exist for it. Internal to os/.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace weir::os {

struct SeccompFilter {
  std::vector<sock_filter> code;
  std::vector<size_t> own_pid;  // instructions whose operand is the program's process id

  // In the child, which alone knows: the process that kill and tgkill may reach.
  void set_own_pid(pid_t pid) {
    for (const size_t at : own_pid) code[at].k = static_cast<unsigned>(pid);
  }
};

SeccompFilter make_seccomp_filter();

}  // namespace weir::os
