// What happens between fork and exec of a sandboxed program: two processes that allocate nothing,
// for the caller has other threads. The first, the keeper, makes the namespaces and waits for the
// second, which locks itself in and becomes the program. Internal to os/.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

#include "os/sandbox.h"
#include "os/seccomp_filter.h"

namespace weir::os {

// The steps that can fail, in order.
enum class SandboxStep : int32_t {
  kNamespaces,
  kUsers,
  kMounts,
  kFolder,
  kLimits,
  kPrivileges,
  kFiles,
  kCalls,
  kProgram,
};

// What comes through the pipe `report`.
struct SandboxReport {
  enum Kind : int32_t { kFailed, kEnded } kind;
  SandboxStep step;  // of kFailed
  int32_t value;     // of kFailed errno, of kEnded the status as wait(2) has it
  double cpu_s;      // of kEnded
};

// Everything that the child needs, made ready before the fork. All borrowed.
struct SandboxPlan {
  SandboxLimits limits;
  bool namespaces = true;
  int landlock = 0;  // its version
  const char* folder = nullptr;
  const char* file_name = nullptr;
  std::span<const char> file_text;
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
  std::span<const char* const> readable;
  const char* mount_options = nullptr;  // of the folder
  const char* user_map = nullptr;       // /proc/self/uid_map
  const char* group_map = nullptr;
  SeccompFilter filter;
  int output = -1;  // where both streams go
  int report = -1;  // SandboxReport, close-on-exec
  pid_t parent = 0;
};

// In the forked child; the plan is its own copy.
[[noreturn]] void run_sandbox_keeper(SandboxPlan& plan);

}  // namespace weir::os
