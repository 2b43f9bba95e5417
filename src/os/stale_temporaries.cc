#include "os/stale_temporaries.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

namespace weir::os {
namespace {

namespace fs = std::filesystem;

// A number from the start of `text`, which it then lacks.
std::optional<int32_t> take_number(std::string_view& text) {
  int32_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return number;
}

// The process of "<base>.tmp-<pid>-<n>"; nothing for other names.
std::optional<int32_t> process_of(std::string_view name, std::string_view base) {
  constexpr std::string_view kMark = ".tmp-";
  if (!name.starts_with(base)) return std::nullopt;
  name.remove_prefix(base.size());
  if (!name.starts_with(kMark)) return std::nullopt;
  name.remove_prefix(kMark.size());
  const std::optional<int32_t> process = take_number(name);
  if (!process || *process == 0 || !name.starts_with('-')) return std::nullopt;
  name.remove_prefix(1);
  return take_number(name) && name.empty() ? process : std::nullopt;
}

bool is_alive(int32_t process) { return ::kill(process, 0) == 0 || errno != ESRCH; }

// Whether another process holds the lock of the file or folder.
bool is_locked(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return true;
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) != 0;
  ::close(fd);
  return locked;
}

}  // namespace

bool is_temporary_name(std::string_view name) {
  const size_t mark = name.rfind(".tmp-");
  return mark != std::string_view::npos && mark > 0 &&
         process_of(name, name.substr(0, mark)).has_value();
}

void remove_stale_temporaries(const std::string& path) {
  const fs::path whole(path);
  const std::string base = whole.filename().string();
  const fs::path folder = whole.has_parent_path() ? whole.parent_path() : fs::path(".");
  std::error_code ec;
  std::vector<fs::path> stale;
  for (fs::directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
    const std::optional<int32_t> process = process_of(at->path().filename().string(), base);
    if (process && !is_alive(*process) && !is_locked(at->path())) stale.push_back(at->path());
  }
  for (const fs::path& one : stale) fs::remove_all(one, ec);
}

}  // namespace weir::os
