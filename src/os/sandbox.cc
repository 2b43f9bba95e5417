#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>

#include "os/landlock.h"
#include "os/owned_fd.h"
#include "os/sandbox_child.h"

namespace weir::os {
namespace {

using Time = std::chrono::steady_clock;

Error refused(const char* what, int reason) {
  return make_error(ErrorCode::kIo, "the sandbox: {}: {}", what, ::strerror(reason));
}

std::string_view step_name(SandboxStep step) {
  switch (step) {
    case SandboxStep::kNamespaces:
      return "namespaces (unshare)";
    case SandboxStep::kUsers:
      return "a user namespace (uid_map)";
    case SandboxStep::kMounts:
      return "a mount namespace (mount)";
    case SandboxStep::kFolder:
      return "a folder of its own";
    case SandboxStep::kLimits:
      return "limits (setrlimit)";
    case SandboxStep::kPrivileges:
      return "no new privileges (prctl, capset)";
    case SandboxStep::kFiles:
      return "Landlock";
    case SandboxStep::kCalls:
      return "a seccomp filter";
    case SandboxStep::kProgram:
      break;
  }
  return "starting the program (execve)";
}

// Made for one run and removed after it.
class Folder {
 public:
  static Result<Folder> make() {
    std::error_code error;
    std::string pattern = std::filesystem::temp_directory_path(error).string() + "/weir-run-XXXXXX";
    if (error || ::mkdtemp(pattern.data()) == nullptr)
      return make_error(ErrorCode::kIo, "the sandbox: no folder could be made as {}: {}", pattern,
                        error ? error.message() : ::strerror(errno));
    return Folder(std::move(pattern));
  }
  Folder(Folder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Folder& operator=(Folder&&) = delete;
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// What one attempt came to.
struct Attempt {
  SandboxResult result;
  std::optional<SandboxReport> failed;  // a step before the program
};

// The two pipes of a running sandbox, read until it is over.
class Watch {
 public:
  Watch(int output, int report, const SandboxLimits& limits)
      : output_(output), report_(report), limits_(limits), start_(Time::now()) {}

  // False: the time is over.
  bool run() {
    const auto end = start_ + std::chrono::duration_cast<Time::duration>(
                                  std::chrono::duration<double>(limits_.wall_s));
    while (report_ >= 0 || output_ >= 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Time::now()).count();
      if (left <= 0) return false;
      std::array<pollfd, 2> fds{{{output_, POLLIN, 0}, {report_, POLLIN, 0}}};
      const int ready =
          ::poll(fds.data(), fds.size(), static_cast<int>(std::min<int64_t>(left, 1000)));
      if (ready < 0 && errno != EINTR) return false;
      if (ready <= 0) continue;
      if (fds[0].revents != 0) read_output();
      if (fds[1].revents != 0) read_report();
    }
    return true;
  }

  Attempt take(bool in_time) {
    Attempt attempt;
    SandboxResult& r = attempt.result;
    if (output_text_.size() > limits_.output_bytes) {
      r.cut = true;
      output_text_.erase(0, output_text_.size() - limits_.output_bytes);
    }
    r.cut = r.cut || dropped_;
    r.output = std::move(output_text_);
    r.seconds = std::chrono::duration<double>(Time::now() - start_).count();
    if (failed_) {
      attempt.failed = failed_;
    } else if (!in_time || !ended_) {
      r.end = SandboxEnd::kWallTime;
    } else if (WIFEXITED(ended_->value)) {
      r.code = WEXITSTATUS(ended_->value);
    } else {
      r.code = WTERMSIG(ended_->value);
      // The kernel's clock for the limit and the one it reports differ by some ticks.
      const bool used_up = ended_->cpu_s >= 0.9 * limits_.cpu_s;
      const bool cpu = r.code == SIGXCPU || (r.code == SIGKILL && used_up);
      r.end = cpu ? SandboxEnd::kCpuTime : SandboxEnd::kSignal;
    }
    return attempt;
  }

 private:
  void read_output() {
    std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    const ssize_t n = ::read(output_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
      output_ = -1;
      return;
    }
    output_text_.append(buffer.data(), static_cast<size_t>(n));
    if (output_text_.size() <= 2 * limits_.output_bytes + buffer.size()) return;
    output_text_.erase(0, output_text_.size() - limits_.output_bytes);
    dropped_ = true;
  }
  void read_report() {
    SandboxReport report{};
    const ssize_t n = ::read(report_, &report, sizeof report);
    if (n < 0 && errno == EINTR) return;
    if (n != static_cast<ssize_t>(sizeof report)) {
      report_ = -1;
      // Nobody is left who could write: what the pipe still holds was read above.
      return;
    }
    if (report.kind == SandboxReport::kEnded) {
      ended_ = report;
    } else if (!failed_) {
      failed_ = report;
    }
  }

  int output_;
  int report_;
  const SandboxLimits& limits_;
  const Time::time_point start_;
  std::string output_text_;
  bool dropped_ = false;
  std::optional<SandboxReport> ended_;
  std::optional<SandboxReport> failed_;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Everything dies with the keeper's group; the keeper is reaped.
void end(pid_t keeper) {
  ::kill(-keeper, SIGKILL);
  ::kill(keeper, SIGKILL);
  while (::waitpid(keeper, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<Attempt> attempt(const SandboxJob& job, const SandboxLimits& limits, bool namespaces,
                        int landlock) {
  WEIR_ASSIGN(const Folder folder, Folder::make());
  std::vector<std::string> arguments = job.command;
  arguments.push_back(job.file_name);
  std::vector<std::string> environment{"PATH=/usr/bin:/bin",    "LANG=C.UTF-8",
                                       "HOME=" + folder.path(), "TMPDIR=" + folder.path(),
                                       "OMP_NUM_THREADS=1",     "OPENBLAS_NUM_THREADS=1",
                                       "PYTHONHASHSEED=0"};
  const std::vector<char*> argument_list = pointers(arguments);
  const std::vector<char*> environment_list = pointers(environment);
  std::vector<const char*> readable;
  for (const std::string& path : job.readable) readable.push_back(path.c_str());
  const std::string options = fmt::format("size={},nr_inodes=4096,mode=0700", limits.folder_bytes);
  const std::string users = fmt::format("1000 {} 1", ::geteuid());
  const std::string groups = fmt::format("1000 {} 1", ::getegid());
  OwnedFd output, output_write, report, report_write;
  if (!make_pipe(output, output_write) || !make_pipe(report, report_write))
    return refused("pipe", errno);
  SandboxPlan plan;
  plan.limits = limits;
  plan.namespaces = namespaces;
  plan.landlock = landlock;
  plan.folder = folder.path().c_str();
  plan.file_name = job.file_name.c_str();
  plan.file_text = job.file_text;
  plan.arguments = argument_list.data();
  plan.environment = environment_list.data();
  plan.readable = readable;
  plan.mount_options = options.c_str();
  plan.user_map = users.c_str();
  plan.group_map = groups.c_str();
  plan.filter = make_seccomp_filter();
  plan.output = output_write.get();
  plan.report = report_write.get();
  plan.parent = ::getpid();
  const pid_t keeper = ::fork();
  if (keeper < 0) return refused("fork", errno);
  if (keeper == 0) run_sandbox_keeper(plan);
  output_write.close();
  report_write.close();
  Watch watch(output.get(), report.get(), limits);
  const bool in_time = watch.run();
  end(keeper);
  return watch.take(in_time);
}

}  // namespace

std::vector<std::string> system_readable() {
  return {"/usr",           "/lib",      "/lib64",       "/bin",       "/etc/ld.so.cache",
          "/etc/localtime", "/dev/zero", "/dev/urandom", "/dev/random"};
}

Result<SandboxResult> run_sandboxed(const SandboxJob& job, const SandboxLimits& limits) {
  const int landlock = landlock_version();
  std::string without;
  for (const bool namespaces : {true, false}) {
    if (!namespaces && landlock == 0) break;
    WEIR_ASSIGN(Attempt a, attempt(job, limits, namespaces, landlock));
    if (!a.failed) {
      a.result.without = std::move(without);
      return std::move(a.result);
    }
    const std::string what =
        fmt::format("{}: {}", step_name(a.failed->step), ::strerror(a.failed->value));
    if (a.failed->step > SandboxStep::kMounts) {
      return make_error(ErrorCode::kUnsupported,
                        "nothing is run, because the sandbox lacks a protection or the program; "
                        "the kernel refuses {}",
                        what);
    }
    without = "the kernel refuses " + what;
  }
  return make_error(ErrorCode::kUnsupported,
                    "nothing is run, because nothing would keep it from writing files: {}, and "
                    "this kernel has no Landlock (5.13 and later, when it is switched on)",
                    without);
}

}  // namespace weir::os
