#include "os/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "os/file.h"

namespace weir::os {

namespace {

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

void advise(std::span<const std::byte> part, int advice) {
  if (part.empty()) return;
  // An advice only: a failure changes nothing that a caller could see.
  (void)::madvise(const_cast<std::byte*>(part.data()), part.size(), advice);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // Non-blocking, so that a named pipe is refused instead of waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_error("open", path, errno);
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    const int reason = errno;
    ::close(fd);
    return system_error("read the size of", path, reason);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return make_error(ErrorCode::kIo, "{} is {}, not a file", path, kind_of(info.st_mode));
  }
  MappedFile file;
  file.size_ = static_cast<size_t>(info.st_size);
  if (file.size_ == 0) {
    ::close(fd);
    return file;
  }
  void* address = ::mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, fd, 0);
  const int reason = errno;
  ::close(fd);
  if (address == MAP_FAILED) {
    file.size_ = 0;
    return system_error("map", path, reason);
  }
  file.data_ = static_cast<const std::byte*>(address);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::dont_need(std::span<const std::byte> part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<uintptr_t>(data_);
  const auto first = reinterpret_cast<uintptr_t>(part.data());
  if (part.empty() || first < base || first + part.size() > base + size_) return;
  const uintptr_t from = first / page * page;
  const uintptr_t to = std::min(base + size_, (first + part.size() + page - 1) / page * page);
  advise({data_ + (from - base), to - from}, MADV_DONTNEED);
}

void discard_pages(std::span<std::byte> memory) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t from = (first + page - 1) / page * page;
  const uintptr_t to = (first + memory.size()) / page * page;
  if (from < to) ::madvise(memory.data() + (from - first), to - from, MADV_DONTNEED);
}

void MappedFile::will_need() const { advise(bytes(), MADV_WILLNEED); }

}  // namespace weir::os
