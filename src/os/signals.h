// Signals as values instead of handlers.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace weir::os {

// Blocks a set of signals and hands them out one by one through a signalfd. Make it in the main
// thread before any other thread starts, so that all inherit the mask; no handler and no global
// state is involved. fd() becomes readable when a signal waits, for event loops. Destruction
// restores the mask of the destroying thread.
class Signals {
 public:
  // Errors: kIo.
  static Result<Signals> block(std::initializer_list<int> signals);
  Signals(Signals&& other) noexcept;
  Signals& operator=(Signals&&) = delete;
  ~Signals();

  // Waits up to timeout_ms (-1: forever, 0: poll). The signal number, or nothing when the time is
  // over. One thread at a time.
  Result<std::optional<int>> wait(int timeout_ms);

  int fd() const { return fd_; }

 private:
  Signals() = default;
  int fd_ = -1;
  sigset_t previous_{};
};

// While it lives, SIGINT and SIGTERM kill as before, but say `words` on stderr first (at most 4 KiB
// of them). A signal that is ignored stays so. Process-wide: one at a time.
class LastWords {
 public:
  explicit LastWords(std::string_view words);
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;
  ~LastWords();

 private:
  struct sigaction interrupt_ {
  }, terminate_{};  // what was there before
};

// A write to a closed socket then returns EPIPE instead of killing the process. Process-wide, as
// the kernel has it.
void ignore_sigpipe();

// A write past the limit of a file's size (ulimit -f) then fails with EFBIG, so that what is
// unfinished is taken away, instead of killing the process. Process-wide.
void ignore_sigxfsz();

// A SIGBUS kills as before, but what it means is said on stderr first: a mapped file has become
// shorter (os/mapped_file.h). Process-wide.
void explain_sigbus();

}  // namespace weir::os
