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
// Of a folder (not those below it): the hash of the lines "SHA256 NAME\n" of its files in the order
// of their names; names that begin with a dot are left out. Errors: also kUsage for an empty one.
Result<FileHash> sha256_of_folder(const std::string& path);

// Whether it is `digits` (by default 64) lower-case hexadecimal digits.
bool is_hex(std::string_view text, size_t digits = 64);

}  // namespace weir::ops
