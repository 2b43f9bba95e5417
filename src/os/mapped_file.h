// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace weir::os {

// Owns a private read-only mapping of a whole regular file. Movable; bytes() stays valid (same
// address) while the object, or the one it was moved into, lives. Const members may be called from
// any thread. The mapping follows the file: one that is truncated by somebody else while mapped
// raises SIGBUS on access, so model files are replaced by rename (write_file_atomic), never
// rewritten in place.
class MappedFile {
 public:
  // Errors: kNotFound, kIo (permission, not a regular file: a directory or device is named as
  // such). An empty file succeeds with empty bytes().
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Page-aligned start.
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Tells the kernel that the pages are not needed for now (after the weights were repacked);
  // reading them again works and goes to the file. The second form is for the pages that hold a
  // part of bytes(), neighbours on the same pages included.
  void dont_need() const { dont_need(bytes()); }
  void dont_need(std::span<const std::byte> part) const;
  // Tells the kernel that the whole file will be read soon.
  void will_need() const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Gives the whole pages inside memory of one's own (not of a file) back to the kernel; they read as
// zero afterwards.
void discard_pages(std::span<std::byte> memory);

}  // namespace weir::os
