#include "os/read_rate.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "os/file.h"

namespace weir::os {
namespace {

constexpr size_t kBlock = 8 << 20;  // large enough that a round trip to the device does not count
constexpr size_t kAlign = 4096;     // of buffers and offsets of direct reads
constexpr uint64_t kLeast = 4 << 20;

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Free {
  void operator()(void* p) const { std::free(p); }
};

}  // namespace

Result<ReadRate> measure_read_rate(const std::string& path, uint64_t max_bytes, int max_ms,
                                   const Clock& clock) {
  ReadRate out;
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  out.direct = fd >= 0;
  if (fd < 0) fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const File file(fd);
  if (fd < 0) return system_error("open", path, errno);
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_error("examine", path, errno);
  if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) < kLeast) {
    return make_error(ErrorCode::kLimit, "{} is no file of 4 MiB or more: its reading says nothing",
                      path);
  }
  if (!out.direct) ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  const std::unique_ptr<void, Free> buffer(std::aligned_alloc(kAlign, kBlock));
  const int64_t start = clock.now_ns();
  const int64_t end = start + int64_t{max_ms} * 1'000'000;
  int64_t now = start;
  while (out.bytes < max_bytes && now < end) {
    const ssize_t n = ::read(fd, buffer.get(), kBlock);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("read", path, errno);
    now = clock.now_ns();
    if (n == 0) break;
    out.bytes += static_cast<uint64_t>(n);
    if (static_cast<size_t>(n) < kBlock) break;  // the end; a direct read may go no further
  }
  out.bytes_per_s = static_cast<double>(out.bytes) /
                    (static_cast<double>(std::max<int64_t>(now - start, 1)) * 1e-9);
  return out;
}

}  // namespace weir::os
