#include "os/signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "os/file.h"
#include "os/temporaries.h"

namespace weir::os {
namespace {

// In a handler: no more than write() and raise() may be used.
void say_what_sigbus_is(int) {
  constexpr std::string_view kMeaning =
      "weir: a model file was made shorter, or cannot be read any more, while it was in use; "
      "replace model files by renaming a new one over them, and start again\n";
  (void)!::write(STDERR_FILENO, kMeaning.data(), kMeaning.size());
  (void)::raise(SIGBUS);  // kills when the handler returns
}

// What a handler says; it must not change while one is set.
char last_words[4096];
size_t last_words_size = 0;

void say_last_words(int signal) {
  remove_temporaries();
  (void)!::write(STDERR_FILENO, last_words, last_words_size);
  (void)::raise(signal);  // kills when the handler returns
}

struct sigaction set_last_words(int signal) {
  struct sigaction action {
  }, before{};
  (void)::sigaction(signal, nullptr, &before);
  if (before.sa_handler == SIG_IGN) return before;
  action.sa_handler = say_last_words;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  (void)::sigaction(signal, &action, nullptr);
  return before;
}

}  // namespace

LastWords::LastWords(std::string_view words) {
  last_words_size = std::min(words.size(), sizeof last_words);
  std::copy_n(words.data(), last_words_size, last_words);
  interrupt_ = set_last_words(SIGINT);
  terminate_ = set_last_words(SIGTERM);
}

LastWords::~LastWords() {
  (void)::sigaction(SIGINT, &interrupt_, nullptr);
  (void)::sigaction(SIGTERM, &terminate_, nullptr);
}

Result<Signals> Signals::block(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  Signals result;
  const int rc = ::pthread_sigmask(SIG_BLOCK, &set, &result.previous_);
  if (rc != 0) return system_error("block", "signals", rc);
  result.fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (result.fd_ < 0) {
    const int reason = errno;
    (void)::pthread_sigmask(SIG_SETMASK, &result.previous_, nullptr);
    return system_error("wait for", "signals", reason);
  }
  return result;
}

Signals::Signals(Signals&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), previous_(other.previous_) {}

Signals::~Signals() {
  if (fd_ < 0) return;
  ::close(fd_);
  (void)::pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

Result<std::optional<int>> Signals::wait(int timeout_ms) {
  for (;;) {
    pollfd entry{fd_, POLLIN, 0};
    const int ready = ::poll(&entry, 1, timeout_ms);
    if (ready < 0 && errno == EINTR)
      continue;  // the wait starts over; only a debugger or a handler gets here
    if (ready < 0) return system_error("wait for", "signals", errno);
    if (ready == 0) return std::optional<int>();
    signalfd_siginfo info{};
    const ssize_t n = ::read(fd_, &info, sizeof info);
    if (n == sizeof info) return std::optional<int>(static_cast<int>(info.ssi_signo));
    if (n < 0 && errno != EAGAIN && errno != EINTR) return system_error("read", "signals", errno);
  }
}

void explain_sigbus() {
  struct sigaction action {};
  action.sa_handler = say_what_sigbus_is;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  (void)::sigaction(SIGBUS, &action, nullptr);
}

void ignore_sigxfsz() { (void)::signal(SIGXFSZ, SIG_IGN); }
void ignore_sigpipe() { (void)::signal(SIGPIPE, SIG_IGN); }

}  // namespace weir::os
