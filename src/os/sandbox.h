// Runs a program that nobody trusts, such as code that a model wrote, and waits for it. Linux only.
//
// Held back always, or nothing is run:
//   - limits of CPU time, address space, sizes and numbers of files; a limit of wall time, at which
//     the process group is killed; output beyond a bound is thrown away
//   - no new privileges, no capabilities
//   - a seccomp filter (os/seccomp_filter.h): no other process, no signal to one, no sockets but
//     pairs, no ptrace, no mounts, no change of modes and owners
//   - files: it reads what lies in SandboxJob::readable, and writes into a folder of its own, which
//     is removed afterwards; by Landlock (os/landlock.h), or where the kernel has none by a
//     read-only mount namespace, and then it reads whatever this user may read
// Beside that, where the kernel allows them: namespaces of its own for users, network, processes,
// mounts, IPC and host name; then its folder is a file system in memory, of bounded size.
//
// It shares the kernel with everything else: this stops accidents and what a model may come up
// with, not somebody who has a hole of the kernel at hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::os {

struct SandboxLimits {
  double wall_s = 10;
  int32_t cpu_s = 10;
  int64_t memory_bytes = int64_t{1} << 30;   // of address space
  int64_t file_bytes = int64_t{16} << 20;    // of one file
  int64_t folder_bytes = int64_t{64} << 20;  // of all of them, where it has its own mounts
  int32_t open_files = 64;
  int32_t threads = 64;            // where it has its own users
  size_t output_bytes = 64 << 10;  // the last so many are kept
};

struct SandboxJob {
  std::vector<std::string> command;  // an absolute path and arguments; the file is the last one
  std::string file_name;             // in its folder, without slashes
  std::string file_text;
  // Files and folders that it may read and run; what is not there is left out.
  std::vector<std::string> readable;
};

enum class SandboxEnd {
  kExited,    // by itself
  kSignal,    // a fault, or memory ran out for good
  kCpuTime,   // SandboxLimits::cpu_s
  kWallTime,  // SandboxLimits::wall_s
};

struct SandboxResult {
  SandboxEnd end = SandboxEnd::kExited;
  int code = 0;        // of kExited the exit code, of kSignal the signal
  std::string output;  // of both streams, the end of it
  bool cut = false;    // there was more
  double seconds = 0;
  // What the kernel refused of the namespaces, as a sentence; "" when there was nothing.
  std::string without;
};

// What a system needs readable to start programs: libraries, their cache, the devices that give
// nothing away.
std::vector<std::string> system_readable();

// One at a time or many, any thread; threads of the caller go on meanwhile. Errors: kUnsupported
// when a protection that must be there is not, naming it and the kernel's word; kIo.
Result<SandboxResult> run_sandboxed(const SandboxJob& job, const SandboxLimits& limits);

}  // namespace weir::os
