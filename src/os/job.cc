#include "os/job.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "os/file.h"
#include "os/owned_fd.h"

extern char** environ;

namespace weir::os {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kSliceMs = 50;         // how late a stop or an end is seen
constexpr size_t kSaidBytes = 2000;  // of what it said last, in an error
constexpr int kCannotRun = 127;

int64_t left_ms(Clock::time_point end) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
}

// environ with the changes of the spec.
std::vector<std::string> environment_of(const JobSpec& spec) {
  std::vector<std::string> out;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view entry(*e);
    const std::string_view name = entry.substr(0, entry.find('='));
    const bool changed = std::any_of(spec.environment.begin(), spec.environment.end(),
                                     [&](const auto& v) { return v.first == name; });
    if (!changed) out.emplace_back(entry);
  }
  for (const auto& [name, value] : spec.environment) {
    if (!value.empty()) out.push_back(fmt::format("{}={}", name, value));
  }
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

// What the child does; everything was made ready before the fork, for other threads may hold locks.
struct Plan {
  char* const* arguments;
  char* const* environment;
  const char* folder;  // or null
  int input, output, errors;
  pid_t parent;
};

[[noreturn]] void become(const Plan& plan) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int s : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGBUS}) ::signal(s, SIG_DFL);
  const bool ready = ::getppid() == plan.parent && ::dup2(plan.input, 0) == 0 &&
                     ::dup2(plan.output, 1) == 1 && ::dup2(plan.errors, 2) == 2 &&
                     (plan.folder == nullptr || ::chdir(plan.folder) == 0);
  if (ready) ::execve(plan.arguments[0], plan.arguments, plan.environment);
  ::_exit(kCannotRun);
}

// What a reading end has: appended within the bound. false: it is closed.
bool take(int fd, std::string& out, size_t max_bytes, bool& cut) {
  std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  const size_t room = max_bytes - std::min(max_bytes, out.size());
  out.append(buffer.data(), std::min(room, static_cast<size_t>(n)));
  cut = cut || room < static_cast<size_t>(n);
  return true;
}

}  // namespace

Result<Job> Job::start(const JobSpec& spec) {
  const std::string& name = spec.command.front();
  if (::access(name.c_str(), X_OK) != 0) return system_error("run", name, errno);
  OwnedFd out_read;
  OwnedFd out_write;
  OwnedFd err_read;
  OwnedFd err_write;
  if (!make_pipe(out_read, out_write) || (!spec.merge && !make_pipe(err_read, err_write)))
    return system_error("make a pipe for", name, errno);
  const OwnedFd input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::vector<std::string> words = spec.command;
  std::vector<std::string> variables = environment_of(spec);
  const std::vector<char*> arguments = pointers(words);
  const std::vector<char*> environment = pointers(variables);
  const Plan plan{
      arguments.data(), environment.data(), spec.folder.empty() ? nullptr : spec.folder.c_str(),
      input.get(),      out_write.get(),    spec.merge ? out_write.get() : err_write.get(),
      ::getpid()};
  const pid_t id = ::fork();
  if (id < 0) return system_error("run", name, errno);
  if (id == 0) become(plan);
  ::setpgid(id, id);  // in both, so that a kill right now finds the group
  Job job;
  job.id_ = id;
  job.output_fd_ = out_read.release();
  job.errors_fd_ = err_read.release();
  job.max_bytes_ = spec.max_bytes;
  return job;
}

Job::Job(Job&& other) noexcept { *this = std::move(other); }

Job& Job::operator=(Job&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(output_fd_, other.output_fd_);
  std::swap(errors_fd_, other.errors_fd_);
  std::swap(status_, other.status_);
  std::swap(reaped_, other.reaped_);
  std::swap(max_bytes_, other.max_bytes_);
  std::swap(output_, other.output_);
  std::swap(errors_, other.errors_);
  std::swap(cut_, other.cut_);
  return *this;
}

Job::~Job() {
  if (id_ > 0) kill_group();
  if (output_fd_ >= 0) ::close(output_fd_);
  if (errors_fd_ >= 0) ::close(errors_fd_);
}

// Also what the program left behind when it ended by itself. The id cannot be another's yet: it is
// reaped only here or by reap(), whose caller comes here next.
void Job::kill_group() {
  ::kill(-id_, SIGKILL);
  if (!reaped_) {
    while (::waitpid(id_, &status_, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
  }
  id_ = -1;
}

bool Job::reap() {
  if (!reaped_ && ::waitpid(id_, &status_, WNOHANG) == id_) reaped_ = true;
  return reaped_;
}

bool Job::pump(int timeout_ms) {
  std::array<pollfd, 2> fds{{{output_fd_, POLLIN, 0}, {errors_fd_, POLLIN, 0}}};
  if (output_fd_ < 0 && errors_fd_ < 0) return false;
  if (::poll(fds.data(), fds.size(), timeout_ms) <= 0) return true;
  if (fds[0].revents != 0 && !take(output_fd_, output_, max_bytes_, cut_))
    ::close(std::exchange(output_fd_, -1));
  if (fds[1].revents != 0 && !take(errors_fd_, errors_, max_bytes_, cut_))
    ::close(std::exchange(errors_fd_, -1));
  return output_fd_ >= 0 || errors_fd_ >= 0;
}

bool Job::running() {
  while (pump(0)) {
    std::array<pollfd, 2> fds{{{output_fd_, POLLIN, 0}, {errors_fd_, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), 0) <= 0) break;
  }
  return id_ > 0 && !reap();
}

JobEnd Job::wait(int timeout_ms, const std::function<bool()>& stopped) {
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::milliseconds(timeout_ms);
  JobEnd out;
  for (;;) {
    if (left_ms(end) <= 0) {
      out.why = JobEnd::Why::kTimeout;
      break;
    }
    if (stopped && stopped()) {
      out.why = JobEnd::Why::kStopped;
      break;
    }
    const bool open = pump(kSliceMs);
    if (reap()) break;
    if (!open) ::poll(nullptr, 0, 5);
  }
  const bool ended = reaped_;
  kill_group();  // what it left in the background holds the pipes
  while (pump(kSliceMs)) {
    if (left_ms(begin + std::chrono::milliseconds(timeout_ms + 2000)) <= 0) break;
  }
  if (ended && WIFSIGNALED(status_)) {
    out.why = JobEnd::Why::kSignal;
    out.code = WTERMSIG(status_);
  } else if (ended) {
    out.code = WEXITSTATUS(status_);
  }
  out.output = std::move(output_);
  out.errors = std::move(errors_);
  out.cut = cut_;
  out.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return out;
}

Result<std::string> Job::wait_for_line(std::string_view prefix, int timeout_ms) {
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    for (size_t at = 0; at < output_.size();) {
      const size_t stop = output_.find('\n', at);
      if (stop == std::string::npos) break;
      const std::string_view line(output_.data() + at, stop - at);
      if (line.starts_with(prefix)) return std::string(line);
      at = stop + 1;
    }
    const auto said = [this] {
      const std::string all = output_ + errors_;
      return all.substr(all.size() - std::min(kSaidBytes, all.size()));
    };
    if (left_ms(end) <= 0)
      return make_error(ErrorCode::kIo, "no line \"{}\" within {} ms; it said: {}", prefix,
                        timeout_ms, said());
    if (!pump(kSliceMs) || (reap() && output_fd_ < 0)) {
      (void)pump(kSliceMs);  // what it said last
      return make_error(ErrorCode::kIo, "it ended before a line \"{}\"; it said: {}", prefix,
                        said());
    }
  }
}

}  // namespace weir::os
