#include "os/sandbox_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/landlock.h"

namespace weir::os {
namespace {

constexpr int kReportFd = 3;

// linux/mount.h, which does not go with sys/mount.h everywhere.
constexpr uint64_t kReadOnly = 1;        // MOUNT_ATTR_RDONLY
constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE
struct MountAttributes {
  uint64_t set, clear, propagation, user_namespace;
};

// linux/capability.h, version 3: 64 bits in two halves.
struct CapabilityHeader {
  uint32_t version;
  int pid;
};
struct CapabilityHalf {
  uint32_t effective, permitted, inheritable;
};

[[noreturn]] void fail(int fd, SandboxStep step) {
  const SandboxReport report{SandboxReport::kFailed, step, errno, 0};
  static_cast<void>(::write(fd, &report, sizeof report) == static_cast<ssize_t>(sizeof report));
  ::_exit(1);
}

bool write_file(const char* path, std::span<const char> text, int flags) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
  if (fd < 0) return false;
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text = text.subspan(static_cast<size_t>(n));
  }
  const int reason = errno;
  ::close(fd);
  errno = reason;
  return text.empty();
}

bool write_file(const char* path, const char* text) {
  return write_file(path, std::span(text, ::strlen(text)), 0);
}

// The whole tree read-only, and a file system in memory on the folder.
bool mount_all(const SandboxPlan& plan) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  // A read-only file system does not keep root from writing to devices; Landlock does.
  constexpr uint64_t kNoDevices = 4;  // MOUNT_ATTR_NODEV
  const MountAttributes read_only{kReadOnly | (plan.landlock > 0 ? 0 : kNoDevices), 0, 0, 0};
  if (::syscall(SYS_mount_setattr, AT_FDCWD, "/", kRecursive, &read_only, sizeof read_only) != 0)
    return false;
  return ::mount("tmpfs", plan.folder, "tmpfs", MS_NOSUID | MS_NODEV, plan.mount_options) == 0;
}

bool limit(int what, int64_t value) {
  const rlimit bound{static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  return ::setrlimit(static_cast<__rlimit_resource_t>(what), &bound) == 0;
}

bool set_limits(const SandboxPlan& plan) {
  const SandboxLimits& l = plan.limits;
  return limit(RLIMIT_CPU, l.cpu_s) && limit(RLIMIT_AS, l.memory_bytes) &&
         limit(RLIMIT_FSIZE, l.file_bytes) && limit(RLIMIT_NOFILE, l.open_files) &&
         limit(RLIMIT_CORE, 0) && limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0) &&
         // Without users of its own this would count everything that the user runs.
         (!plan.namespaces || limit(RLIMIT_NPROC, l.threads));
}

bool drop_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  CapabilityHeader header{0x20080522, 0};
  const CapabilityHalf none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool filter_calls(SandboxPlan& plan) {
  plan.filter.set_own_pid(::getpid());
  const sock_fprog program{static_cast<unsigned short>(plan.filter.code.size()),
                           plan.filter.code.data()};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Standard streams, the report as kReportFd, and nothing else that the caller had open.
bool arrange_files(const SandboxPlan& plan) {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) return false;
  // Above the places they go to, so that none overwrites another.
  const int report = ::fcntl(plan.report, F_DUPFD_CLOEXEC, 10);
  const int output = ::fcntl(plan.output, F_DUPFD_CLOEXEC, 10);
  const int input = ::fcntl(null, F_DUPFD_CLOEXEC, 10);
  if (report < 0 || output < 0 || input < 0) return false;
  if (::dup2(input, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(output, 2) < 0) return false;
  if (::dup3(report, kReportFd, O_CLOEXEC) < 0) return false;
  return ::syscall(SYS_close_range, kReportFd + 1, ~0U, 0) == 0;
}

[[noreturn]] void become_program(SandboxPlan& plan) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!arrange_files(plan)) fail(plan.report, SandboxStep::kFolder);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGCHLD})
    ::signal(signal, SIG_DFL);
  if (plan.namespaces && !mount_all(plan)) fail(kReportFd, SandboxStep::kMounts);
  if (::chdir(plan.folder) != 0 || !write_file(plan.file_name, plan.file_text, O_CREAT | O_EXCL))
    fail(kReportFd, SandboxStep::kFolder);
  if (!set_limits(plan)) fail(kReportFd, SandboxStep::kLimits);
  if (!drop_privileges()) fail(kReportFd, SandboxStep::kPrivileges);
  if (plan.landlock > 0 && !landlock_allow(plan.landlock, plan.readable, plan.folder))
    fail(kReportFd, SandboxStep::kFiles);
  if (!filter_calls(plan)) fail(kReportFd, SandboxStep::kCalls);
  ::execve(plan.arguments[0], plan.arguments, plan.environment);
  fail(kReportFd, SandboxStep::kProgram);
}

void make_namespaces(const SandboxPlan& plan) {
  if (!plan.namespaces) return;
  constexpr int kAll =
      CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  if (::unshare(kAll) != 0) fail(plan.report, SandboxStep::kNamespaces);
  // Absent before Linux 3.19, where the map may be written without.
  write_file("/proc/self/setgroups", "deny");
  if (!write_file("/proc/self/uid_map", plan.user_map) ||
      !write_file("/proc/self/gid_map", plan.group_map))
    fail(plan.report, SandboxStep::kUsers);
}

}  // namespace

void run_sandbox_keeper(SandboxPlan& plan) {
  ::setsid();  // one group, which the caller can kill, away from its terminal
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(1);
  make_namespaces(plan);
  const pid_t program = ::fork();
  if (program < 0) fail(plan.report, SandboxStep::kNamespaces);
  if (program == 0) become_program(plan);
  ::close(plan.output);
  int status = 0;
  rusage used{};
  pid_t ended = -1;
  do {
    ended = ::wait4(program, &status, 0, &used);
  } while (ended < 0 && errno == EINTR);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  const SandboxReport report{SandboxReport::kEnded, SandboxStep::kProgram, status,
                             seconds(used.ru_utime) + seconds(used.ru_stime)};
  static_cast<void>(::write(plan.report, &report, sizeof report));
  ::_exit(0);
}

}  // namespace weir::os
