#include "os/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "os/stale_temporaries.h"
#include "os/temporaries.h"

namespace weir::os {

namespace {

// Names tried before giving up; a collision needs a leftover of a crashed process with our pid.
constexpr int kTemporaryNames = 100;

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Error system_error(std::string_view what, std::string_view path, int errno_value) {
  const ErrorCode code = errno_value == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return make_error(code, "cannot {} {}: {}", what, path,
                    std::generic_category().message(errno_value));
}

Status write_all(int fd, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("write", path, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status write_all_at(int fd, uint64_t offset, std::span<const std::byte> bytes,
                    const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("write", path, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<std::string> read_file(const std::string& path, uint64_t max_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_error("open", path, errno);
  std::string text;
  char buffer[16 << 10];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {  // a pipe whose writer takes its time
      pollfd ready{fd, POLLIN, 0};
      (void)::poll(&ready, 1, -1);
      continue;
    }
    if (n < 0) {
      const int reason = errno;
      ::close(fd);
      return system_error("read", path, reason);
    }
    if (n == 0) break;
    if (text.size() + static_cast<size_t>(n) > max_bytes) {
      ::close(fd);
      return make_error(ErrorCode::kLimit, "{} is larger than the {} bytes allowed here", path,
                        max_bytes);
    }
    text.append(buffer, static_cast<size_t>(n));
  }
  ::close(fd);
  return text;
}

// File systems that cannot sync a directory say EINVAL.
Status sync_directory_of(const std::string& path) {
  const std::string directory = directory_of(path);
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("open", directory, errno);
  const int rc = ::fsync(fd);
  const int reason = errno;
  ::close(fd);
  if (rc != 0 && reason != EINVAL) return system_error("sync", directory, reason);
  return {};
}

Result<uint64_t> free_disk_bytes(const std::string& path) {
  const std::string directory = directory_of(path);
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0)
    return system_error("look for free space in", directory, errno);
  return uint64_t{info.f_bavail} * info.f_frsize;
}

Result<AtomicFile> AtomicFile::create(const std::string& path, uint32_t mode) {
  AtomicFile file;
  file.path_ = path;
  struct stat old {};
  const bool exists = ::stat(path.c_str(), &old) == 0;
  if (exists && !S_ISREG(old.st_mode)) {
    return make_error(ErrorCode::kIo, "cannot write {}: it exists and is not a file", path);
  }
  for (int n = 0; n < kTemporaryNames; ++n) {
    file.temporary_ = fmt::format("{}.tmp-{}-{}", path, ::getpid(), n);
    if (::access(file.temporary_.c_str(), F_OK) == 0) continue;
    remember_temporary(file.temporary_);  // before it is there: a signal may come at any time
    file.fd_ = ::open(file.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file.fd_ >= 0) break;
    const int reason = errno;
    forget_temporary(file.temporary_);
    if (reason != EEXIST) return system_error("write", path, reason);
  }
  if (file.fd_ < 0) return system_error("write", path, EEXIST);
  (void)::flock(file.fd_, LOCK_EX | LOCK_NB);  // os/stale_temporaries.h
  // A replaced file keeps its permissions; failing to set them is not worth failing the write.
  if (exists) (void)!::fchmod(file.fd_, old.st_mode & 07777);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      written_(other.written_),
      fd_(std::exchange(other.fd_, -1)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(written_, other.written_);
  std::swap(fd_, other.fd_);
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (fd_ < 0) return;
  ::close(std::exchange(fd_, -1));
  ::unlink(temporary_.c_str());
  forget_temporary(temporary_);
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  WEIR_TRY(write_all(fd_, bytes, path_));
  written_ += bytes.size();
  return {};
}

Status AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  return write_all_at(fd_, offset, bytes, path_);
}

Status AtomicFile::commit() {
  if (::fsync(fd_) != 0) {
    const int reason = errno;
    discard();
    return system_error("sync", path_, reason);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    discard();
    return system_error("replace", path_, reason);
  }
  forget_temporary(temporary_);
  ::close(std::exchange(fd_, -1));
  return sync_directory_of(path_);
}

Status write_file_atomic(const std::string& path, std::span<const std::byte> bytes) {
  remove_stale_temporaries(path);
  WEIR_ASSIGN(AtomicFile file, AtomicFile::create(path));
  WEIR_TRY(file.write(bytes));
  return file.commit();
}

Status write_file_atomic(const std::string& path, std::string_view text) {
  return write_file_atomic(path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace weir::os
