#include "os/temporaries.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

namespace weir::os {
namespace {

constexpr size_t kSlots = 64;  // shards are written one by one, models of several parts together
constexpr size_t kPathBytes = 4096;
constexpr int kMostDepth = 4;  // of folders in folders
// Another thread may still put a file into a folder that is being emptied.
constexpr int kAttempts = 8;

// A slot is changed by whom a compare-exchange has given it to.
enum class State : int { kFree, kBeingFilled, kHeld, kBeingEmptied };

struct Slot {
  std::atomic<State> state{State::kFree};
  std::atomic<size_t> hash{0};  // of the path: who looks for another does not disturb this one
  pid_t process = 0;
  std::array<char, kPathBytes> path{};
};
static_assert(std::atomic<State>::is_always_lock_free);

std::array<Slot, kSlots> slots;

bool take(Slot& slot, State from, State to) {
  return slot.state.compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

// The kernel's struct linux_dirent64: opendir() may not be used in a handler.
constexpr size_t kLengthAt = 16;
constexpr size_t kNameAt = 19;

void remove_below(int folder, int depth);

void remove_entry(int folder, const char* name, int depth) {
  if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) return;
  if (::unlinkat(folder, name, 0) == 0 || errno != EISDIR || depth >= kMostDepth) return;
  const int inner = ::openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (inner < 0) return;
  remove_below(inner, depth + 1);
  ::close(inner);
  (void)::unlinkat(folder, name, AT_REMOVEDIR);
}

void remove_below(int folder, int depth) {
  alignas(8) std::array<char, 4096> entries;
  for (;;) {
    const int64_t bytes = ::syscall(SYS_getdents64, folder, entries.data(), entries.size());
    if (bytes <= 0) return;
    for (int64_t at = 0; at < bytes;) {
      const char* entry = entries.data() + at;
      uint16_t length = 0;
      std::memcpy(&length, entry + kLengthAt, sizeof length);
      remove_entry(folder, entry + kNameAt, depth);
      at += length;
    }
  }
}

void remove_one(const char* path) {
  if (::unlink(path) == 0 || errno != EISDIR) return;
  for (int i = 0; i < kAttempts; ++i) {
    const int folder = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0) return;
    remove_below(folder, 0);
    ::close(folder);
    if (::rmdir(path) == 0 || errno != ENOTEMPTY) return;
  }
}

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

void remove_and_die(int signal) {
  remove_temporaries();
  (void)::raise(signal);  // kills when the handler returns
}

}  // namespace

void remember_temporary(const std::string& path) {
  if (path.size() >= kPathBytes) return;
  for (Slot& slot : slots) {
    if (!take(slot, State::kFree, State::kBeingFilled)) continue;
    std::memcpy(slot.path.data(), path.c_str(), path.size() + 1);
    slot.hash.store(std::hash<std::string>()(path), std::memory_order_relaxed);
    slot.process = ::getpid();
    slot.state.store(State::kHeld, std::memory_order_release);
    return;
  }
}

void forget_temporary(const std::string& path) {
  const size_t hash = std::hash<std::string>()(path);
  for (Slot& slot : slots) {
    if (slot.hash.load(std::memory_order_relaxed) != hash) continue;
    if (!take(slot, State::kHeld, State::kBeingEmptied)) continue;
    const bool same = path == slot.path.data();
    slot.state.store(same ? State::kFree : State::kHeld, std::memory_order_release);
    if (same) return;
  }
}

void remove_temporaries() {
  const pid_t process = ::getpid();
  for (Slot& slot : slots) {
    if (!take(slot, State::kHeld, State::kBeingEmptied)) continue;
    if (slot.process == process) remove_one(slot.path.data());
    slot.state.store(State::kFree, std::memory_order_release);
  }
}

void remove_temporaries_on_signals() {
  struct sigaction action {};
  action.sa_handler = remove_and_die;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : kSignals) ::sigaddset(&action.sa_mask, signal);
  for (const int signal : kSignals) {
    struct sigaction before {};
    (void)::sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_DFL) (void)::sigaction(signal, &action, nullptr);
  }
}

}  // namespace weir::os
