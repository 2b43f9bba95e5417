#include "model/finite.h"
#include "quant/half.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

namespace weir::model {
namespace {

using gguf::TensorType;
using quant::f16_bad;

uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
// As quant::f16_bad.
bool bf16_bad(uint16_t v) { return (v & 0x7F80U) == 0x7F80U; }
bool f32_bad(const std::byte* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return (v & 0x7F800000U) == 0x7F800000U;
}
bool f64_bad(const std::byte* p) {
  constexpr uint64_t kExponent = uint64_t{0x7FF} << 52;
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return (v & kExponent) == kExponent;
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

constexpr uint64_t kNone = UINT64_MAX;

template <typename IsBad>
uint64_t find(uint64_t begin, uint64_t end, const IsBad& is_bad) {
  for (uint64_t i = begin; i < end; ++i) {
    if (is_bad(i)) return i;
  }
  return kNone;
}

// The first of the elements, or blocks, [begin, end) that is not finite, or kNone. places: of block
// types.
uint64_t find_bad(const gguf::Tensor& t, const ScalePlaces* places, uint64_t begin, uint64_t end) {
  const std::byte* data = t.data.data();
  switch (t.type) {
    case TensorType::kF64:
      return find(begin, end, [&](uint64_t i) { return f64_bad(data + i * 8); });
    case TensorType::kF32:
      return find(begin, end, [&](uint64_t i) { return f32_bad(data + i * 4); });
    case TensorType::kF16:
      return find(begin, end, [&](uint64_t i) { return f16_bad(load_u16(data + i * 2)); });
    case TensorType::kBF16:
      return find(begin, end, [&](uint64_t i) { return bf16_bad(load_u16(data + i * 2)); });
    default:
      break;
  }
  const uint64_t block_bytes = gguf::type_info(t.type)->block_bytes;
  return find(begin, end, [&](uint64_t b) {
    for (const int offset : places->offsets) {
      if (offset >= 0 && f16_bad(load_u16(data + b * block_bytes + static_cast<uint64_t>(offset))))
        return true;
    }
    return false;
  });
}

// Units of a task: some 100 microseconds.
constexpr uint64_t kUnits = 1 << 16;

}  // namespace

Status check_finite(const gguf::Tensor& t, kernels::ThreadPool& pool) {
  const bool floats = t.type == TensorType::kF64 || t.type == TensorType::kF32 ||
                      t.type == TensorType::kF16 || t.type == TensorType::kBF16;
  const auto* places = std::find_if(kScalePlaces.begin(), kScalePlaces.end(),
                                    [&](const ScalePlaces& p) { return p.type == t.type; });
  if (!floats && places == kScalePlaces.end()) return {};
  const uint64_t units =
      floats ? t.elements() : t.data.size() / gguf::type_info(t.type)->block_bytes;
  std::atomic<uint64_t> first{kNone};
  pool.parallel_for((units + kUnits - 1) / kUnits, [&](size_t task, size_t) {
    const uint64_t begin = task * kUnits;
    const uint64_t bad = find_bad(t, places, begin, std::min(units, begin + kUnits));
    uint64_t seen = first.load();
    while (bad < seen && !first.compare_exchange_weak(seen, bad)) {
    }
  });
  if (first.load() == kNone) return {};
  return make_error(ErrorCode::kCorrupt,
                    "tensor {}: {} {} is NaN or infinite; the file is damaged or was converted "
                    "wrongly: download or convert it again",
                    t.name, floats ? "element" : "the scale of block", first.load());
}

}  // namespace weir::model
