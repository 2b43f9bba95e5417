#include "checkpoint/fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "quant/half.h"

namespace weir::checkpoint {
namespace {

using testing::ElementsAre;

// A model's tensors by name, without data.
class Model {
 public:
  void add(const std::string& name, std::vector<uint64_t> shape) {
    SafeTensor t;
    t.name = name;
    t.shape = std::move(shape);
    tensors_[name] = std::move(t);
  }
  // A layer of llama with `kv` rows of k and v.
  void add_layer(int number, uint64_t kv) {
    const std::string p = "blk." + std::to_string(number) + ".";
    add(p + "attn_norm.weight", {8});
    add(p + "attn_q.weight", {8, 8});
    add(p + "attn_k.weight", {kv, 8});
    add(p + "attn_v.weight", {kv, 8});
    add(p + "attn_output.weight", {8, 8});
    add(p + "ffn_norm.weight", {8});
    add(p + "ffn_gate.weight", {24, 8});
    add(p + "ffn_up.weight", {24, 8});
    add(p + "ffn_down.weight", {8, 24});
  }
  void remove(const std::string& name) { tensors_.erase(name); }

  // "maker>readers" of all places.
  std::vector<std::string> places() const {
    std::map<std::string, const SafeTensor*> known;
    for (const auto& [name, t] : tensors_) known[name] = &t;
    std::vector<std::string> out;
    for (const FoldPlace& p : fold_places(known)) {
      EXPECT_EQ(p.known_as, p.readers.front()->name);
      EXPECT_EQ(p.norm, p.maker->shape.size() == 1);
      std::string& text = out.emplace_back(short_name(p.maker->name) + ">");
      for (const SafeTensor* r : p.readers)
        text += (text.back() == '>' ? "" : " ") + short_name(r->name);
    }
    return out;
  }

 private:
  static std::string short_name(const std::string& name) {
    return name.substr(4, name.size() - 4 - std::string(".weight").size());
  }
  std::map<std::string, SafeTensor> tensors_;
};

TEST(FoldPlaces, OfLlama) {
  Model m;
  m.add("output_norm.weight", {8});
  m.add_layer(10, 8);
  m.add_layer(2, 4);  // grouped queries: a row of v meets several columns of o
  EXPECT_THAT(m.places(),
              ElementsAre("2.attn_norm>2.attn_q 2.attn_k 2.attn_v",
                          "2.ffn_norm>2.ffn_gate 2.ffn_up", "2.ffn_up>2.ffn_down",
                          "10.attn_norm>10.attn_q 10.attn_k 10.attn_v", "10.attn_v>10.attn_output",
                          "10.ffn_norm>10.ffn_gate 10.ffn_up", "10.ffn_up>10.ffn_down"));
}

TEST(FoldPlaces, NothingWhereSomethingElseReadsOrAddsToTheInput) {
  Model m;
  m.add_layer(0, 8);
  m.add("blk.0.attn_norm.bias", {8});
  m.add("blk.0.attn_v.bias", {8});
  m.add("blk.0.ffn_gate_inp.weight", {4, 8});
  m.add("blk.0.ffn_up.bias", {24});
  EXPECT_THAT(m.places(), ElementsAre());
  Model parallel;  // one norm for attention and feed-forward part
  parallel.add_layer(0, 8);
  parallel.remove("blk.0.ffn_norm.weight");
  EXPECT_THAT(parallel.places(), ElementsAre("0.attn_v>0.attn_output", "0.ffn_up>0.ffn_down"));
  Model plain;  // the activation stands between up and down
  plain.add_layer(0, 8);
  plain.remove("blk.0.ffn_gate.weight");
  EXPECT_THAT(plain.places(), ElementsAre("0.attn_norm>0.attn_q 0.attn_k 0.attn_v",
                                          "0.attn_v>0.attn_output", "0.ffn_norm>0.ffn_up"));
  Model odd;
  odd.add_layer(0, 8);
  odd.add("blk.0.ffn_up.weight", {48, 8});  // gate and up in one
  EXPECT_THAT(odd.places(), testing::Not(testing::Contains("0.ffn_up>0.ffn_down")));
}

TEST(FoldPlaces, NothingInALayerWithATensorOfUnknownUse) {
  Model m;  // BitNet: a norm between v and output
  m.add_layer(0, 8);
  m.add_layer(1, 8);
  m.add("blk.0.attn_sub_norm.weight", {8});
  EXPECT_EQ(m.places().size(), 4U);
  EXPECT_THAT(m.places(), testing::Each(testing::StartsWith("1.")));
}

float random_float(uint64_t i, float low, float high) {
  return low + (high - low) * static_cast<float>(random_unit(5, 0, i));
}

TEST(DivideNorm, NewWeightTimesFactorIsTheOldWeight) {
  constexpr size_t kCount = 300;
  for (const Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBF16}) {
    for (const bool shifted : {false, true}) {
      std::vector<std::byte> data(kCount * dtype_bytes(dtype));
      std::vector<float> old(kCount), factors(kCount);
      const auto at = [&](std::span<const std::byte> bytes, size_t i) {
        float f = 0;
        uint16_t h = 0;
        if (dtype == Dtype::kF32) std::memcpy(&f, bytes.data() + i * 4, 4);
        if (dtype != Dtype::kF32) std::memcpy(&h, bytes.data() + i * 2, 2);
        if (dtype == Dtype::kF16) f = quant::f16_to_f32(h);
        if (dtype == Dtype::kBF16) f = quant::bf16_to_f32(h);
        return f + (shifted ? 1.0F : 0.0F);
      };
      for (size_t i = 0; i < kCount; ++i) {
        const float value = random_float(i, -3, 3);
        const uint16_t half =
            dtype == Dtype::kF16 ? quant::f32_to_f16(value) : quant::f32_to_bf16(value);
        if (dtype == Dtype::kF32) std::memcpy(data.data() + i * 4, &value, 4);
        if (dtype != Dtype::kF32) std::memcpy(data.data() + i * 2, &half, 2);
        old[i] = at(data, i);
        factors[i] = std::exp(random_float(i + kCount, -3, 3));
      }
      const std::vector<float> asked = factors;
      SafeTensor norm;
      norm.dtype = dtype;
      norm.shape = {kCount};
      norm.data = data;
      const std::vector<std::byte> divided = divide_norm(norm, shifted, factors);
      for (size_t i = 0; i < kCount; ++i) {
        EXPECT_NEAR(at(divided, i) * factors[i], old[i], std::fabs(old[i]) * 0x1p-22F);
        if (shifted) continue;
        EXPECT_NEAR(factors[i], asked[i], asked[i] * 0.01F);
      }
    }
  }
}

TEST(DivideNorm, AWeightThatCannotBeDividedStays) {
  const std::vector<float> weights = {0, -0.0F, 1e-30F, 2};
  SafeTensor norm;
  norm.shape = {weights.size()};
  norm.data = std::as_bytes(std::span(weights));
  std::vector<float> factors = {3, 3, 1e30F, 4};
  const std::vector<std::byte> divided = divide_norm(norm, false, factors);
  EXPECT_THAT(factors, ElementsAre(1, 1, 1, 4));
  std::vector<float> now(weights.size());
  std::memcpy(now.data(), divided.data(), divided.size());
  EXPECT_THAT(now, ElementsAre(0, -0.0F, 1e-30F, 0.5F));
}

}  // namespace
}  // namespace weir::checkpoint
