#include "os/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "os/file.h"

extern char** environ;

namespace weir::os {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::array kFolders = {
    "/usr/local/sbin",      "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
    "/usr/local/nvidia/bin"};

// The child and the reading end of its output; ends it with all it started.
class Child {
 public:
  Child(pid_t id, int output) : id_(id), output_(output) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::close(output_);
    if (id_ > 0) end();
  }

  // Its output until it closes it. nullopt-like errors name what went wrong.
  Result<std::string> read(const std::string& name, const ProgramLimits& limits) const {
    const auto end = Clock::now() + std::chrono::milliseconds(limits.timeout_ms);
    std::string out;
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
      if (left <= 0) {
        return make_error(ErrorCode::kIo, "{} took longer than {} ms", name, limits.timeout_ms);
      }
      pollfd fd{output_, POLLIN, 0};
      const int ready = ::poll(&fd, 1, static_cast<int>(left));
      if (ready <= 0) continue;        // a signal, or the end of the time
      std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
      const ssize_t n = ::read(output_, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_error("read the output of", name, errno);
      if (n == 0) return out;
      out.append(buffer.data(), static_cast<size_t>(n));
      if (out.size() > limits.max_bytes) {
        return make_error(ErrorCode::kLimit, "{} wrote more than {} bytes", name, limits.max_bytes);
      }
    }
  }

  // What waitpid says once it has ended; it has closed its output, so that is soon.
  int wait(int timeout_ms) {
    const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
    int status = 0;
    while (Clock::now() < end) {
      const pid_t got = ::waitpid(id_, &status, WNOHANG);
      if (got == id_ || (got < 0 && errno != EINTR)) {
        id_ = 0;
        return status;
      }
      ::poll(nullptr, 0, 5);
    }
    return end_status();
  }

 private:
  int end_status() {
    int status = 0;
    ::kill(-id_, SIGKILL);
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    id_ = 0;
    return status;
  }
  void end() { (void)end_status(); }

  pid_t id_;
  int output_;
};

// Starts it in a process group of its own, its output in `write_end`. 0 or an errno.
int start(const std::vector<std::string>& command, int write_end, pid_t& id) {
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, write_end, 1);
  ::posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error =
      ::posix_spawn(&id, arguments[0], &files, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  return error;
}

}  // namespace

std::string find_program(const std::string& name) {
  for (const char* folder : kFolders) {
    std::string path = std::string(folder) + "/" + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

Result<std::string> run_program(const std::vector<std::string>& command,
                                const ProgramLimits& limits, bool any_exit) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return system_error("make a pipe for", command[0], errno);
  pid_t id = 0;
  const int error = start(command, ends[1], id);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    return system_error("run", command[0], error);
  }
  Child child(id, ends[0]);
  WEIR_ASSIGN(std::string out, child.read(command[0], limits));
  const int status = child.wait(limits.timeout_ms);
  if (!WIFEXITED(status)) return make_error(ErrorCode::kIo, "{} was ended by a signal", command[0]);
  if (WEXITSTATUS(status) != 0 && !any_exit) {
    return make_error(ErrorCode::kIo, "{} failed with exit code {}", command[0],
                      WEXITSTATUS(status));
  }
  return out;
}

}  // namespace weir::os
