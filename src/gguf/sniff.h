// What a file is when it is not a GGUF file that we read.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace weir::gguf {

// Success: the bytes start with the magic of a little-endian GGUF file of version 2 or 3, both
// fields present. Errors: kCorrupt or kUnsupported, saying what the file looks like instead and
// what to do.
Status check_magic(std::span<const std::byte> bytes, const std::string& name);

}  // namespace weir::gguf
