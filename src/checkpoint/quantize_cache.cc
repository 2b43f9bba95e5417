#include "checkpoint/quantize_cache.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <system_error>

#include "quant/e4m3.h"

namespace weir::checkpoint {

std::optional<CacheModule> cache_module(const Family& family, const std::string& tensor) {
  constexpr std::string_view kBlock = "blk.";
  const std::optional<Target> target = map_tensor(family, tensor);
  if (!target || !target->name.starts_with(kBlock) ||
      !target->name.ends_with(".attn_output.weight"))
    return {};
  CacheModule module;
  const char* const end = target->name.data() + target->name.size();
  if (std::from_chars(target->name.data() + kBlock.size(), end, module.layer).ec != std::errc())
    return {};
  // Less ".weight", and the matrix' own name.
  module.name = tensor.substr(0, tensor.rfind('.'));
  module.name.resize(std::min(module.name.size(), module.name.rfind('.')));
  return module;
}

Result<float> cache_scale(std::span<const float> largest, std::span<const float> factors) {
  if (largest.empty()) {
    return make_error(ErrorCode::kUnsupported,
                      "the largest keys and values were not measured; collect the importance "
                      "matrix anew: weir imatrix MODEL --data TEXT -o FILE");
  }
  if (!factors.empty() && factors.size() != largest.size()) {
    return make_error(ErrorCode::kCorrupt,
                      "{} columns of the cache were measured, the matrix has {}: they are of "
                      "another model",
                      largest.size(), factors.size());
  }
  float most = 0;
  for (size_t i = 0; i < largest.size(); ++i)
    most = std::max(most, largest[i] * (factors.empty() ? 1 : std::fabs(factors[i])));
  if (!std::isfinite(most))
    return make_error(ErrorCode::kInvalidValue, "the largest key or value is {}", most);
  return most > 0 ? most / quant::kMaxE4m3 : 1.0F;
}

}  // namespace weir::checkpoint
