// The bytes of one GGUF file → its metadata and tensors. Internal to gguf/; users take File.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace weir::gguf {

// One file's contents; views into the bytes it was parsed from.
struct Part {
  uint32_t version = 0;
  uint64_t alignment = kDefaultAlignment;
  std::vector<Metadata> metadata;        // file order
  std::vector<uint32_t> metadata_order;  // indices, sorted by key
  std::vector<Tensor> tensors;           // file order; names not yet checked for duplicates
};

// Checks everything but duplicate tensor names (they may stand in different parts). `name` stands
// for the file in errors.
Result<Part> parse_part(std::span<const std::byte> bytes, const std::string& name);

// Text of the file made fit for a message: control and non-ASCII bytes as '?', cut at 64.
std::string quoted(std::string_view text);

// Sums and products that notice overflow: false then, with out untouched.
[[nodiscard]] bool checked_add(uint64_t a, uint64_t b, uint64_t& out);
[[nodiscard]] bool checked_mul(uint64_t a, uint64_t b, uint64_t& out);

}  // namespace weir::gguf
