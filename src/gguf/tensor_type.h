// The ggml tensor types: ids as they stand in GGUF files, names, block sizes.
// Source: enum ggml_type of the GGUF specification (ggml/docs/gguf.md) and the block structures of
// ggml-common.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::gguf {

enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
};

// A row is a whole number of blocks of block_elements values, each stored in block_bytes bytes.
struct TypeInfo {
  std::string_view name;  // "Q4_0"
  uint32_t block_elements = 0;
  uint32_t block_bytes = 0;
};

// nullptr for an id that is not (or no longer) a ggml type. Static storage.
const TypeInfo* type_info(TensorType type);

// "Q4_0", or "type 77" for an unknown id.
std::string type_name(TensorType type);

// The type of a name as type_info gives it (exact case).
std::optional<TensorType> type_by_name(std::string_view name);

// All known names, comma-separated, for error messages.
std::string known_type_names();

}  // namespace weir::gguf
