// Element types of the KV cache, and what they take of memory. The names are ggml's.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::kernels {

// kQ8_0, kQ4_0: blocks of kKvBlock dimensions of one token and head with one f16 scale; codes,
// scale and rounding are those of the weight formats (quant/blocks.h), the values of a head
// transformed (KvLayout).
enum class KvType { kF16, kBF16, kQ8_0, kQ4_0 };

inline constexpr size_t kKvBlock = 32;
inline constexpr std::array kKvTypes = {KvType::kF16, KvType::kBF16, KvType::kQ8_0, KvType::kQ4_0};

struct KvTypes {
  KvType k = KvType::kF16;
  KvType v = KvType::kF16;
  bool operator==(const KvTypes&) const = default;
};

constexpr std::string_view kv_type_name(KvType type) {
  switch (type) {
    case KvType::kBF16:
      return "bf16";
    case KvType::kQ8_0:
      return "q8_0";
    case KvType::kQ4_0:
      return "q4_0";
    default:
      return "f16";
  }
}

constexpr bool is_block_type(KvType type) { return type == KvType::kQ8_0 || type == KvType::kQ4_0; }

// "q8_0", or "q8_0/q4_0" where K and V differ.
std::string kv_types_name(KvTypes types);

// Bytes of the keys or values of one token and one head.
constexpr size_t kv_row_bytes(KvType type, size_t head_dim) {
  switch (type) {
    case KvType::kQ8_0:
      return head_dim / kKvBlock * (2 + kKvBlock);
    case KvType::kQ4_0:
      return head_dim / kKvBlock * (2 + kKvBlock / 2);
    default:
      return head_dim * 2;
  }
}

// Error: kUsage with the names there are.
Result<KvType> parse_kv_type(std::string_view name);

// Error: kUnsupported for a block type whose blocks do not divide a key (head_dim) or a value.
Status check_kv_types(KvTypes types, size_t head_dim, size_t value_dim);

}  // namespace weir::kernels
