#include "ops/quantize/plan_scales.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "gguf/writer.h"
#include "ops/quantize/channel_scales.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using gguf::TensorType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kDim = 64, kInner = 96;

// One layer of llama whose channels differ in size, every head with a v of its own.
class PlanScalesTest : public ::testing::Test {
 protected:
  PlanScalesTest() {
    add("token_embd.weight", {kDim, 40});
    add("blk.0.attn_norm.weight", {kDim});
    for (const char* name : {"q", "k", "v", "output"})
      add(fmt::format("blk.0.attn_{}.weight", name), {kDim, kDim});
    add("blk.0.ffn_norm.weight", {kDim});
    add("blk.0.ffn_gate.weight", {kDim, kInner});
    add("blk.0.ffn_up.weight", {kDim, kInner});
    add("blk.0.ffn_down.weight", {kInner, kDim});
    add("output_norm.weight", {kDim});
  }

  void add(const std::string& name, std::vector<uint64_t> shape) {
    std::vector<float>& values = data_[name];
    for (size_t i = 0; i < shape[0] * (shape.size() > 1 ? shape[1] : 1); ++i) {
      const auto at = static_cast<double>(random_unit(name.size(), i, 7));
      values.push_back(static_cast<float>(at - (shape.size() > 1 ? 0.5 : -0.5)));
    }
    shapes_.emplace_back(name, std::move(shape));
  }

  void open(const char* architecture = "llama") {
    gguf::Writer w;
    w.set_string("general.architecture", architecture);
    w.set_uint(fmt::format("{}.block_count", architecture), 1);
    for (const auto& [name, shape] : shapes_)
      w.add_tensor(name, TensorType::kF32, shape, std::as_bytes(std::span(data_[name])));
    bytes_ = *w.to_bytes();
    file_.emplace(*gguf::File::parse(bytes_));
  }

  QuantizePlan plan(const char* type, const MixOptions& options = {},
                    const Calibration& calibration = {}) {
    return *plan_quantize(*file_, *find_mix(type), options, calibration);
  }

  // The file of a plan, read.
  std::map<std::string, std::vector<float>> written(const QuantizePlan& plan,
                                                    const Calibration& calibration = {}) {
    const auto done = write_quantized(*file_, plan, calibration, {"1", "m", {1, 2}, "", "", "awq"},
                                      pool_, {dir_.file("out")}, {});
    EXPECT_TRUE(done.ok()) << done.error().message;
    const auto out = gguf::File::open(dir_.file("out"));
    EXPECT_EQ(*out->get_string("weir.quantize.method"), "awq");
    std::map<std::string, std::vector<float>> values;
    for (const gguf::Tensor& t : out->tensors()) {
      if (t.type != TensorType::kF32) continue;
      values[t.name].resize(t.elements());
      std::memcpy(values[t.name].data(), t.data.data(), t.data.size());
    }
    return values;
  }

  std::vector<std::pair<std::string, std::vector<uint64_t>>> shapes_;
  std::map<std::string, std::vector<float>> data_;
  std::vector<std::byte> bytes_;
  std::optional<gguf::File> file_;
  os::TempDir dir_;
  kernels::ThreadPool pool_{2};
};

std::vector<float> some_factors(size_t count, uint64_t seed) {
  std::vector<float> f(count);
  for (size_t i = 0; i < count; ++i)
    f[i] = std::exp(2 * static_cast<float>(random_unit(seed, 1, i)) - 1);
  return f;
}

TEST_F(PlanScalesTest, WhatIsFoldedKeepsTheFunction) {
  data_["blk.0.ffn_norm.weight"][5] = 0;  // cannot be divided: its column stays
  open();
  QuantizePlan p = plan("F32");
  auto scales = PlanScales::make(*file_, p);
  ASSERT_TRUE(scales.ok());
  std::vector<std::string> known;
  for (const auto& place : scales->places()) known.push_back(place.known_as);
  ASSERT_THAT(known, ElementsAre("blk.0.attn_q.weight", "blk.0.attn_output.weight",
                                 "blk.0.ffn_gate.weight", "blk.0.ffn_down.weight"));
  std::vector<std::vector<float>> f;
  for (size_t i = 0; i < known.size(); ++i)
    scales->fold(i, f.emplace_back(some_factors(scales->places()[i].cols, i)));
  f[2][5] = 1;
  auto now = written(p);
  const auto ratio = [&](const std::string& name, size_t i) {
    return now.at(name)[i] / data_.at(name)[i];
  };
  for (size_t i = 0; i < kDim * kDim; ++i) {
    const size_t row = i / kDim, col = i % kDim;
    EXPECT_NEAR(ratio("blk.0.attn_q.weight", i), f[0][col], f[0][col] * 1e-5F);
    EXPECT_NEAR(ratio("blk.0.attn_v.weight", i), f[0][col] / f[1][row], f[0][col] * 1e-4F);
    EXPECT_NEAR(ratio("blk.0.attn_output.weight", i), f[1][col], f[1][col] * 1e-5F);
  }
  for (size_t c = 0; c < kDim; ++c) {
    EXPECT_NEAR(ratio("blk.0.attn_norm.weight", c) * f[0][c], 1, 1e-5);
    EXPECT_NEAR(ratio("blk.0.ffn_gate.weight", c), f[2][c], f[2][c] * 1e-5F);
    if (c == 5) continue;
    EXPECT_NEAR(ratio("blk.0.ffn_norm.weight", c) * f[2][c], 1, 1e-5);
  }
  EXPECT_EQ(now.at("token_embd.weight"), data_.at("token_embd.weight"));
}

TEST_F(PlanScalesTest, RoundTripsAreThoseOfEachTensorsType) {
  open();
  QuantizePlan p = plan("Q4_0", {.overrides = {{"attn_v", TensorType::kF32}}});
  const auto scales = *PlanScales::make(*file_, p);
  for (const size_t most : {size_t{0}, size_t{50}}) {
    const std::vector<float> old = *scales.sample(0, most);
    std::vector<float> now = old;
    ASSERT_TRUE(scales.round_trip(0, most, {}, now).ok());
    ASSERT_EQ(now.size(), most == 0 ? 3 * kDim * kDim : 48 * kDim);
    for (size_t i = 0; i < now.size(); i += kDim) {
      // q, k and v one below the other.
      const bool same = std::equal(now.begin() + i, now.begin() + i + kDim, old.begin() + i);
      EXPECT_EQ(same, i >= now.size() / 3 * 2) << i / kDim;
    }
  }
}

TEST_F(PlanScalesTest, AwqLowersTheErrorAndTheImportanceFollows) {
  open();
  ImportanceMatrix importance;
  for (const char* name : {"blk.0.attn_k.weight", "blk.0.attn_q.weight", "blk.0.attn_v.weight"}) {
    std::vector<float> squares(kDim, 1);
    squares[3] = 400, squares[40] = 900;
    importance.entries.push_back({name, squares, {1}});
  }
  const Calibration calibration{&importance};
  QuantizePlan p = plan("Q4_0", {}, calibration);
  auto scales = *PlanScales::make(*file_, p);
  const auto found = fold_awq(scales, calibration, pool_, {});
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->places, 1U);
  EXPECT_EQ(found->unmeasured, 3U);
  EXPECT_LT(found->error_after, 0.9 * found->error_before);
  const TensorTransform& q = *find_transform(p.transforms, "blk.0.attn_q.weight");
  EXPECT_GT(q.columns[40], 1.5F * q.columns[0]);
  std::vector<float> squares(kDim, 1);
  transform_inputs(q, squares);
  EXPECT_FLOAT_EQ(squares[40], 1 / (q.columns[40] * q.columns[40]));
  EXPECT_TRUE(written(p, calibration).contains("blk.0.attn_norm.weight"));
}

TEST_F(PlanScalesTest, WhatMustNotBeRoundedAgainIsLeftOut) {
  open();
  QuantizePlan p = plan("Q4_0");
  for (PlannedTensor& t : p.tensors) {
    if (t.source->name == "blk.0.attn_v.weight") t.copied = true;
  }
  const auto scales = *PlanScales::make(*file_, p);
  EXPECT_EQ(scales.left_out(), 2U);  // v reads one norm, and makes the output's input
  EXPECT_EQ(scales.places().size(), 2U);
}

TEST_F(PlanScalesTest, AnUnknownArchitectureIsRefused) {
  open("bitnet");
  QuantizePlan p = plan("Q4_0");
  const auto scales = PlanScales::make(*file_, p);
  ASSERT_FALSE(scales.ok());
  EXPECT_THAT(scales.error().message, HasSubstr("'bitnet'"));
}

}  // namespace
}  // namespace weir::ops
