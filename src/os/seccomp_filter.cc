#include "os/seccomp_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>

#include <array>
#include <cstdint>

namespace weir::os {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
#error "the system calls of this architecture have not been looked at"
#endif

constexpr uint32_t kLastKnown = 451;  // cachestat: numbers from here on are those of every machine

// Calls that fail with EPERM.
constexpr auto kRefused = std::to_array<int>({
  // Other processes: starting, following, reading, changing them.
  SYS_unshare, SYS_setns, SYS_setsid, SYS_setpgid, SYS_ptrace, SYS_process_vm_readv,
      SYS_process_vm_writev, SYS_process_madvise, SYS_process_mrelease, SYS_kcmp, SYS_pidfd_open,
      SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
      SYS_setpriority, SYS_sched_setattr, SYS_sched_setscheduler, SYS_sched_setparam,
      SYS_sched_setaffinity, SYS_ioprio_set, SYS_migrate_pages, SYS_move_pages,
      // Sockets; pairs of streams (asyncio has one) lead nowhere.
      SYS_socket, SYS_bind, SYS_connect, SYS_listen, SYS_accept, SYS_accept4,
      // Memory that no limit counts.
      SYS_memfd_create, SYS_memfd_secret, SYS_shmget, SYS_msgget, SYS_semget, SYS_mq_open,
      // File systems.
      SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_mount_setattr, SYS_move_mount,
      SYS_open_tree, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_name_to_handle_at,
      SYS_open_by_handle_at, SYS_fanotify_init, SYS_quotactl, SYS_quotactl_fd, SYS_swapon,
      SYS_swapoff,
      // What Landlock leaves to the owner of a file.
      SYS_truncate, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_setxattr, SYS_lsetxattr,
      SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, SYS_utimensat,
      // The kernel itself.
      SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key,
      SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_syslog,
      SYS_acct, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime,
      SYS_sethostname, SYS_setdomainname, SYS_personality,
#if defined(__x86_64__)
      SYS_fork, SYS_vfork, SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
      SYS_creat, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_kexec_file_load,
#endif
});

// Calls that are said not to exist, so that libraries take the older way, which can be looked into.
constexpr auto kAbsent = std::to_array<int>(
    {SYS_clone3, SYS_openat2, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register});

constexpr uint32_t refusal(int error) {
  return SECCOMP_RET_ERRNO | (static_cast<uint32_t>(error) & SECCOMP_RET_DATA);
}

class Builder {
 public:
  SeccompFilter build() {
    load(offsetof(seccomp_data, arch));
    skip_if_equal(kArch);
    give(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
    add(BPF_JMP | BPF_JGT | BPF_K, kLastKnown, 0, 1);
    give(refusal(ENOSYS));
    for (const int call : kRefused) on(call, refusal(EPERM));
    for (const int call : kAbsent) on(call, refusal(ENOSYS));
    // A thread is no process.
    only_if(SYS_clone, 0, BPF_JSET, CLONE_THREAD);
    stream_pairs_only();
    only_own_pid(SYS_kill);
    only_own_pid(SYS_tgkill);
    only_if(SYS_prlimit64, 0, BPF_JEQ, 0);  // of itself
    never_with(SYS_prctl, 0, {1});          // PR_SET_PDEATHSIG: it ends with whoever started it
    never_with(SYS_fcntl, 1, {8, 10, 15});  // F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to others
    never_with(SYS_ioctl, 1, {0x8901, 0x8902, 0x5412});  // FIOSETOWN, SIOCSPGRP, TIOCSTI
    no_truncation(SYS_openat, 2);
#if defined(__x86_64__)
    no_truncation(SYS_open, 1);
#endif
    give(SECCOMP_RET_ALLOW);
    return std::move(filter_);
  }

 private:
  void add(int op, uint32_t k, uint8_t yes = 0, uint8_t no = 0) {
    filter_.code.push_back({static_cast<uint16_t>(op), yes, no, k});
  }
  void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  // The low half of an argument; both machines are little-endian.
  void load_argument(int index) {
    load(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(index));
  }
  void give(uint32_t what) { add(BPF_RET | BPF_K, what); }
  void skip_if_equal(uint32_t k) { add(BPF_JMP | BPF_JEQ | BPF_K, k, 1, 0); }

  void on(int call, uint32_t what) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1);
    give(what);
  }
  // Allowed when the test of the argument says yes.
  void only_if(int call, int argument, int test, uint32_t value) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4);
    load_argument(argument);
    add(BPF_JMP | test | BPF_K, value, 0, 1);
    give(SECCOMP_RET_ALLOW);
    give(refusal(EPERM));
  }
  // A datagram socket of a pair sends to any other by its path; a stream of one does not.
  void stream_pairs_only() {
    constexpr uint32_t kType = 0xF;  // without SOCK_CLOEXEC and SOCK_NONBLOCK
    constexpr uint32_t kStream = 1;
    add(BPF_JMP | BPF_JEQ | BPF_K, SYS_socketpair, 0, 5);
    load_argument(1);
    add(BPF_ALU | BPF_AND | BPF_K, kType);
    add(BPF_JMP | BPF_JEQ | BPF_K, kStream, 0, 1);
    give(SECCOMP_RET_ALLOW);
    give(refusal(EPERM));
  }
  void only_own_pid(int call) {
    filter_.own_pid.push_back(filter_.code.size() + 2);
    only_if(call, 0, BPF_JEQ, 0);
  }
  void never_with(int call, int argument, std::initializer_list<uint32_t> values) {
    const auto count = static_cast<uint8_t>(values.size());
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0,
        static_cast<uint8_t>(2 * count + 2));
    load_argument(argument);
    for (const uint32_t value : values) {
      add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
      give(refusal(EPERM));
    }
    give(SECCOMP_RET_ALLOW);
  }
  // O_TRUNC on a file that is opened for reading: kernels before 6.2 ask Landlock for nothing then.
  void no_truncation(int call, int flags) {
    constexpr uint32_t kTruncate = 01000;
    constexpr uint32_t kAccess = 03;
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 5);
    load_argument(flags);
    add(BPF_ALU | BPF_AND | BPF_K, kTruncate | kAccess);
    add(BPF_JMP | BPF_JEQ | BPF_K, kTruncate, 0, 1);
    give(refusal(EPERM));
    give(SECCOMP_RET_ALLOW);
  }

  SeccompFilter filter_;
};

}  // namespace

SeccompFilter make_seccomp_filter() { return Builder().build(); }

}  // namespace weir::os
