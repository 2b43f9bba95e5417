#include "model/finite.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "kernels/finite_scan.h"
#include "quant/half.h"

namespace weir::model {
namespace {

using gguf::TensorType;
using kernels::FloatFormat;
using quant::f16_bad;

uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
std::optional<FloatFormat> format_of(TensorType type) {
  switch (type) {
    case TensorType::kF64:
      return FloatFormat::kF64;
    case TensorType::kF32:
      return FloatFormat::kF32;
    case TensorType::kF16:
      return FloatFormat::kF16;
    case TensorType::kBF16:
      return FloatFormat::kBF16;
    default:
      return std::nullopt;
  }
}

// Byte offsets of the f16 scales in a block, as ggml lays blocks out; -1 where there are fewer than
// two.
struct ScalePlaces {
  TensorType type;
  std::array<int, 2> offsets;
};
constexpr std::array kScalePlaces{
    ScalePlaces{TensorType::kQ4_0, {0, -1}},    ScalePlaces{TensorType::kQ4_1, {0, 2}},
    ScalePlaces{TensorType::kQ5_0, {0, -1}},    ScalePlaces{TensorType::kQ5_1, {0, 2}},
    ScalePlaces{TensorType::kQ8_0, {0, -1}},    ScalePlaces{TensorType::kQ2_K, {80, 82}},
    ScalePlaces{TensorType::kQ3_K, {108, -1}},  ScalePlaces{TensorType::kQ4_K, {0, 2}},
    ScalePlaces{TensorType::kQ5_K, {0, 2}},     ScalePlaces{TensorType::kQ6_K, {208, -1}},
    ScalePlaces{TensorType::kIQ1_S, {0, -1}},   ScalePlaces{TensorType::kIQ2_XXS, {0, -1}},
    ScalePlaces{TensorType::kIQ2_XS, {0, -1}},  ScalePlaces{TensorType::kIQ2_S, {0, -1}},
    ScalePlaces{TensorType::kIQ3_XXS, {0, -1}}, ScalePlaces{TensorType::kIQ3_S, {0, -1}},
    ScalePlaces{TensorType::kIQ4_NL, {0, -1}},  ScalePlaces{TensorType::kIQ4_XS, {0, -1}},
    ScalePlaces{TensorType::kTQ1_0, {52, -1}},  ScalePlaces{TensorType::kTQ2_0, {64, -1}},
};

// The first of the blocks [begin, end) with a scale that is not finite, or kNoneFound.
uint64_t first_bad_block(const gguf::Tensor& t, const ScalePlaces& places, uint64_t begin,
                         uint64_t end) {
  const uint64_t block_bytes = gguf::type_info(t.type)->block_bytes;
  for (uint64_t b = begin; b < end; ++b) {
    const std::byte* block = t.data.data() + b * block_bytes;
    for (const int offset : places.offsets) {
      if (offset >= 0 && f16_bad(load_u16(block + offset))) return b;
    }
  }
  return kernels::kNoneFound;
}

}  // namespace

Status check_finite(const gguf::Tensor& t, kernels::ThreadPool& pool) {
  const auto format = format_of(t.type);
  const auto* places = std::find_if(kScalePlaces.begin(), kScalePlaces.end(),
                                    [&](const ScalePlaces& p) { return p.type == t.type; });
  if (!format && places == kScalePlaces.end()) return {};
  const uint64_t units =
      format ? t.elements() : t.data.size() / gguf::type_info(t.type)->block_bytes;
  const uint64_t bad = kernels::first_of(units, pool, [&](uint64_t begin, uint64_t end) {
    return format ? kernels::first_not_finite(t.data, *format, begin, end)
                  : first_bad_block(t, *places, begin, end);
  });
  if (bad == kernels::kNoneFound) return {};
  return make_error(ErrorCode::kCorrupt,
                    "tensor {}: {} {} is NaN or infinite; the file is damaged or was converted "
                    "wrongly: download or convert it again",
                    t.name, format ? "element" : "the scale of block", bad);
}

}  // namespace weir::model
