#include "model/finite.h"

#include <array>
#include <bit>
#include <cstring>
#include <span>

namespace weir::model {
namespace {

using gguf::TensorType;

uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
// All exponent bits set: NaN or infinity.
bool f16_bad(uint16_t v) { return (v & 0x7C00U) == 0x7C00U; }
bool bf16_bad(uint16_t v) { return (v & 0x7F80U) == 0x7F80U; }
bool f32_bad(const std::byte* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return (v & 0x7F800000U) == 0x7F800000U;
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

Error bad(const gguf::Tensor& t, std::string_view what, uint64_t index) {
  return make_error(ErrorCode::kCorrupt,
                    "tensor {}: {} {} is NaN or infinite; the file is damaged or was converted "
                    "wrongly: download or "
                    "convert it again",
                    t.name, what, index);
}

}  // namespace

Status check_finite(const gguf::Tensor& t) {
  const std::byte* data = t.data.data();
  if (t.type == TensorType::kF32) {
    for (uint64_t i = 0; i < t.elements(); ++i) {
      if (f32_bad(data + i * 4)) return bad(t, "element", i);
    }
    return {};
  }
  if (t.type == TensorType::kF16 || t.type == TensorType::kBF16) {
    const bool half = t.type == TensorType::kF16;
    for (uint64_t i = 0; i < t.elements(); ++i) {
      const uint16_t v = load_u16(data + i * 2);
      if (half ? f16_bad(v) : bf16_bad(v)) return bad(t, "element", i);
    }
    return {};
  }
  for (const ScalePlaces& places : kScalePlaces) {
    if (places.type != t.type) continue;
    const uint64_t block_bytes = gguf::type_info(t.type)->block_bytes;
    for (uint64_t b = 0; b < t.data.size() / block_bytes; ++b) {
      for (const int offset : places.offsets) {
        if (offset >= 0 &&
            f16_bad(load_u16(data + b * block_bytes + static_cast<uint64_t>(offset)))) {
          return bad(t, "the scale of block", b);
        }
      }
    }
  }
  return {};
}

}  // namespace weir::model
