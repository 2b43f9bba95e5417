#include "checkpoint/fold.h"

#include <cstring>

#include "checkpoint/fold_rules.h"
#include "quant/half.h"

namespace weir::checkpoint {
namespace {

using Known = std::map<std::string, const SafeTensor*>;

bool is_float(const SafeTensor& t) {
  return t.dtype == Dtype::kF32 || t.dtype == Dtype::kF16 || t.dtype == Dtype::kBF16;
}

float read(const SafeTensor& t, size_t i) {
  float value = 0;
  uint16_t half = 0;
  if (t.dtype == Dtype::kF32) {
    std::memcpy(&value, t.data.data() + i * 4, 4);
    return value;
  }
  std::memcpy(&half, t.data.data() + i * 2, 2);
  return t.dtype == Dtype::kF16 ? quant::f16_to_f32(half) : quant::bf16_to_f32(half);
}

// Stores a value in t's type and returns what was stored.
float store(const SafeTensor& t, float value, std::byte* to) {
  if (t.dtype == Dtype::kF32) {
    std::memcpy(to, &value, 4);
    return value;
  }
  const bool f16 = t.dtype == Dtype::kF16;
  const uint16_t half = f16 ? quant::f32_to_f16(value) : quant::f32_to_bf16(value);
  std::memcpy(to, &half, 2);
  return f16 ? quant::f16_to_f32(half) : quant::bf16_to_f32(half);
}

}  // namespace

std::vector<FoldPlace> fold_places(const Known& known) {
  FoldShapes shapes;
  for (const auto& [name, tensor] : known) shapes[name] = tensor->shape;
  std::vector<FoldPlace> places;
  for (const FoldRule& rule : fold_rules(shapes)) {
    FoldPlace place{rule.readers.front(), known.at(rule.maker), rule.norm, {}};
    if (!is_float(*place.maker)) continue;
    for (const std::string& reader : rule.readers) place.readers.push_back(known.at(reader));
    places.push_back(std::move(place));
  }
  return places;
}

std::vector<std::byte> divide_norm(const SafeTensor& norm, bool shifted, std::span<float> factors) {
  std::vector<std::byte> out(norm.data.begin(), norm.data.end());
  const size_t bytes = dtype_bytes(norm.dtype);
  const float shift = shifted ? 1.0F : 0.0F;
  for (size_t i = 0; i < factors.size(); ++i) {
    std::byte* to = out.data() + i * bytes;
    const float old = read(norm, i) + shift;
    const float now = store(norm, old / factors[i] - shift, to) + shift;
    factors[i] = settled_factor(old, now);
    if (factors[i] > 0) continue;
    std::memcpy(to, norm.data.data() + i * bytes, bytes);
    factors[i] = 1;
  }
  return out;
}

}  // namespace weir::checkpoint
