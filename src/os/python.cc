#include "os/python.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>

namespace weir::os {
namespace {

// A line each: what answers, its version, its folders. The program is the real one: a virtual
// environment's is a link, which tells the interpreter where that is, so it stays as it is.
constexpr const char* kQuestion =
    "import os, sys\n"
    "assert sys.version_info >= (3, 6)\n"
    "print(sys.executable)\n"
    "print('%d.%d.%d' % sys.version_info[:3])\n"
    "paths = [sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)]\n"
    "print('\\n'.join(sorted({p for p in paths if p})))\n";

constexpr size_t kMaxAnswerBytes = 65'536;

// What the command prints; "" when it fails.
std::string ask(const std::string& command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  std::array<std::string, 3> words{command, "-c", kQuestion};
  std::array<char*, 4> arguments{words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t child = -1;
  const int failed =
      ::posix_spawnp(&child, command.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string answer;
  std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  while (failed == 0 && answer.size() < kMaxAnswerBytes) {
    const ssize_t n = ::read(ends[0], buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    answer.append(buffer.data(), static_cast<size_t>(n));
  }
  ::close(ends[0]);
  if (failed != 0) return {};
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? answer : std::string();
}

}  // namespace

Result<Python> find_python(const std::string& command) {
  std::istringstream lines(ask(command));
  Python python;
  std::getline(lines, python.program);
  std::getline(lines, python.version);
  for (std::string line; std::getline(lines, line);) python.readable.push_back(line);
  // A prefix of "/" or "/usr" would open more than the interpreter's own.
  std::erase_if(python.readable, [](const std::string& p) { return p == "/" || p == "/usr"; });
  if (!python.program.starts_with('/') || python.version.empty()) {
    return make_error(ErrorCode::kNotFound,
                      "{} does not run as a Python of version 3.6 or later: install one, or say "
                      "which with --python",
                      command);
  }
  return python;
}

}  // namespace weir::os
