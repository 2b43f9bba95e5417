#include "checkpoint/fold.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <set>

#include "quant/half.h"

namespace weir::checkpoint {
namespace {

using Known = std::map<std::string, const SafeTensor*>;

bool is_float(const SafeTensor& t) {
  return t.dtype == Dtype::kF32 || t.dtype == Dtype::kF16 || t.dtype == Dtype::kBF16;
}

// The tensors of one layer.
class Layer {
 public:
  Layer(const Known& known, int number) : known_(known), prefix_(fmt::format("blk.{}.", number)) {}

  // nullptr where there is none.
  const SafeTensor* find(const char* name) const {
    const auto at = known_.find(prefix_ + name);
    return at == known_.end() ? nullptr : at->second;
  }
  bool any(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      if (find(name) != nullptr) return true;
    }
    return false;
  }

  // Adds the place where all of `names` that are there read what `maker` makes, if its shape fits
  // theirs.
  void add(const char* maker, bool norm, std::initializer_list<const char*> names,
           std::vector<FoldPlace>& out) const {
    FoldPlace place{{}, find(maker), norm, {}};
    for (const char* name : names) {
      const SafeTensor* reader = find(name);
      if (reader == nullptr) continue;
      if (place.readers.empty()) place.known_as = prefix_ + name;
      place.readers.push_back(reader);
    }
    if (place.maker == nullptr || place.readers.empty()) return;
    if (place.maker->shape.size() != (norm ? 1U : 2U) || !is_float(*place.maker)) return;
    for (const SafeTensor* reader : place.readers) {
      if (reader->shape.size() != 2 || reader->shape[1] != place.maker->shape[0]) return;
    }
    out.push_back(std::move(place));
  }

 private:
  const Known& known_;
  std::string prefix_;
};

void add_layer(const Layer& layer, std::vector<FoldPlace>& out) {
  // With one norm for both halves of a layer, or latent attention, there are more readers.
  const bool usual = layer.any({"attn_norm.weight"}) && layer.any({"ffn_norm.weight"}) &&
                     !layer.any({"attn_q_a.weight", "attn_kv_a_mqa.weight"});
  if (usual && !layer.any({"attn_norm.bias"})) {
    layer.add("attn_norm.weight", true,
              {"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_qkv.weight"}, out);
  }
  if (!layer.any({"attn_v.bias"})) layer.add("attn_v.weight", false, {"attn_output.weight"}, out);
  const bool routed = layer.any({"ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight"});
  if (usual && !routed && !layer.any({"ffn_norm.bias"}))
    layer.add("ffn_norm.weight", true, {"ffn_gate.weight", "ffn_up.weight"}, out);
  if (layer.any({"ffn_gate.weight"}) && !layer.any({"ffn_up.bias"}))
    layer.add("ffn_up.weight", false, {"ffn_down.weight"}, out);
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
  std::set<int> layers;
  for (const auto& [name, tensor] : known) {
    int number = 0;
    if (!name.starts_with("blk.")) continue;
    std::from_chars(name.data() + 4, name.data() + name.size(), number);
    layers.insert(number);
  }
  std::vector<FoldPlace> places;
  for (const int number : layers) add_layer(Layer(known, number), places);
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
    const float factor = old / now;
    if (std::isnormal(factor) && factor > 0 && std::isfinite(now)) {
      factors[i] = factor;
    } else {
      std::memcpy(to, norm.data.data() + i * bytes, bytes);
      factors[i] = 1;
    }
  }
  return out;
}

}  // namespace weir::checkpoint
