// SHA-256 of texts and files, as 64 hexadecimal digits: what releases are addressed by. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::ops {

std::string sha256_hex(std::string_view bytes);

struct FileHash {
  std::string sha256;
  uint64_t bytes = 0;
};
// Reads the file piece by piece, whatever its size. Errors: kNotFound, kIo.
Result<FileHash> sha256_of_file(const std::string& path);
// Of a folder: the hash of the lines "SHA256 PATH\n" of its files and those of the folders below
// it, in the order of their paths; names that begin with a dot are left out. Errors: also kUsage
// for an empty one and for a symbolic link that leaves the folder or leads to one: what it leads to
// may change; kLimit for over kMaxFolderFiles.
inline constexpr size_t kMaxFolderFiles = 10'000;
Result<FileHash> sha256_of_folder(const std::string& path);

// Whether it is `digits` (by default 64) lower-case hexadecimal digits.
bool is_hex(std::string_view text, size_t digits = 64);

}  // namespace weir::ops
