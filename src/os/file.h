// Whole-file reads and atomic replacement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::os {

// kNotFound or kIo for a failed system call: "cannot <what> <path>: <reason>".
[[nodiscard]] Error system_error(std::string_view what, std::string_view path, int errno_value);

// All of `bytes` to an open file: behind what was written, or from `offset` on. path: for errors.
// Errors: kIo.
Status write_all(int fd, std::span<const std::byte> bytes, const std::string& path);
Status write_all_at(int fd, uint64_t offset, std::span<const std::byte> bytes,
                    const std::string& path);

// The contents of a file (also of /proc and /sys files, whose size is not known beforehand), or of
// a pipe until its writers have closed it. Errors: kNotFound, kIo, kLimit when it holds more than
// max_bytes.
Result<std::string> read_file(const std::string& path, uint64_t max_bytes);

// Bytes that may still be written where `path` lies or is to lie. Errors: kNotFound, kIo.
Result<uint64_t> free_disk_bytes(const std::string& path);

// Syncs the directory that `path` lies in, so that a rename in it survives a power cut. Errors:
// kNotFound, kIo; none where the file system cannot do it.
Status sync_directory_of(const std::string& path);

// Makes `path` hold exactly `bytes`: a reader sees the old or the new contents, never a part, and
// after success the new contents survive a power cut (data and directory are synced). On an error
// the old file is untouched.
Status write_file_atomic(const std::string& path, std::span<const std::byte> bytes);
Status write_file_atomic(const std::string& path, std::string_view text);

// The same for contents that are produced piece by piece. One thread. Destruction without commit()
// leaves the old file and removes the temporary one ("<path>.tmp-<pid>-<n>", same directory).
class AtomicFile {
 public:
  // mode: of a file that is not there yet, cut by the umask.
  static Result<AtomicFile> create(const std::string& path, uint32_t mode = 0666);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  // Bytes at a place of their own, in any order; write() goes on where it was.
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t written_bytes() const { return written_; }  // by write()
  // Syncs, renames over the target, syncs the directory. Nothing may be called after it.
  Status commit();

 private:
  AtomicFile() = default;
  void discard();

  std::string path_;
  std::string temporary_;
  uint64_t written_ = 0;
  int fd_ = -1;
};

}  // namespace weir::os
