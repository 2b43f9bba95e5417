#include "kernels/kv_type.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace weir::kernels {

Result<KvType> parse_kv_type(std::string_view name) {
  const auto* const at = std::find_if(kKvTypes.begin(), kKvTypes.end(),
                                      [&](KvType t) { return kv_type_name(t) == name; });
  if (at != kKvTypes.end()) return *at;
  std::array<std::string_view, kKvTypes.size()> names;
  std::transform(kKvTypes.begin(), kKvTypes.end(), names.begin(), kv_type_name);
  return make_error(ErrorCode::kUsage, "there is no KV cache type \"{}\"; there are {}", name,
                    fmt::join(names, ", "));
}

std::string kv_types_name(KvTypes types) {
  const auto k = std::string(kv_type_name(types.k));
  return types.k == types.v ? k : k + "/" + std::string(kv_type_name(types.v));
}

Status check_kv_types(KvTypes types, size_t head_dim, size_t value_dim) {
  const auto check = [](KvType type, size_t dim) -> Status {
    if (!is_block_type(type) || dim % kKvBlock == 0) return {};
    return make_error(ErrorCode::kUnsupported,
                      "the head dimension is {}, and a KV cache of {} takes multiples of {}; use "
                      "f16 or bf16",
                      dim, kv_type_name(type), kKvBlock);
  };
  WEIR_TRY(check(types.k, head_dim));
  return check(types.v, value_dim);
}

}  // namespace weir::kernels
