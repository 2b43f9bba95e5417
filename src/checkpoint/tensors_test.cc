#include "checkpoint/tensors.h"

#include <gtest/gtest.h>

#include <cstring>

namespace weir::checkpoint {
namespace {

// Of mixtral, with the first expert's gate matrix of some layers and nothing else.
Error error_of(int64_t experts, int layers) {
  static const std::vector<std::byte> kData(32 * sizeof(float));
  HfConfig config;
  config.family = find_family("mixtral");
  config.experts = experts;
  std::vector<SafeTensor> source;
  for (int i = 0; i < layers; ++i) {
    source.push_back({fmt::format("model.layers.{}.block_sparse_moe.experts.0.w1.weight", i),
                      Dtype::kF32,
                      {1, 32},
                      kData});
  }
  const auto converted = convert_tensors(config, source, {});
  EXPECT_FALSE(converted.ok());
  return converted.ok() ? Error{} : converted.error();
}

TEST(ConvertTensors, NamesTheExpertThatIsMissing) {
  const Error e = error_of(4, 2);
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_NE(e.message.find("expert 1 of blk.0.ffn_gate_exps.weight is missing"), std::string::npos)
      << e.message;
}

TEST(ConvertTensors, RefusesAnExpertThatTheConfigDoesNotHave) {
  const Error e = error_of(0, 1);
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_NE(e.message.find("config.json has only 0 experts"), std::string::npos) << e.message;
}

// Each layer asks for a slice per expert, whatever the files hold.
TEST(ConvertTensors, BoundsTheSlicesOfAllLayers) {
  EXPECT_EQ(error_of(65'536, 4).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(65'536, 5).code, ErrorCode::kLimit);
  EXPECT_EQ(error_of(INT32_MAX, 1).code, ErrorCode::kLimit);
}

const gguf::Tensor& tensor_of(const ConvertedTensors& all, std::string_view name) {
  for (const gguf::Tensor& t : all.tensors) {
    if (t.name == name) return t;
  }
  ADD_FAILURE() << name << " is not there";
  return all.tensors.front();
}

// Two experts with two rows each of gate and up, dealt out, one block of MXFP4 a row.
TEST(ConvertTensors, PartsAndJoinsTheExpertsOfGptOss) {
  std::vector<std::byte> codes(2 * 4 * 16);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::byte>(i * 7);
  std::vector<std::byte> scales(2 * 4);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<std::byte>(120 + i);
  std::vector<float> biases(2 * 4);
  for (size_t i = 0; i < biases.size(); ++i) biases[i] = static_cast<float>(i);
  HfConfig config;
  config.family = find_family("gpt_oss");
  config.experts = 2;
  const std::string p = "model.layers.5.mlp.experts.gate_up_proj";
  const auto converted =
      convert_tensors(config,
                      {{p + "_blocks", Dtype::kU8, {2, 4, 1, 16}, codes},
                       {p + "_scales", Dtype::kU8, {2, 4, 1}, scales},
                       {p + "_bias", Dtype::kF32, {2, 4}, std::as_bytes(std::span(biases))}},
                      gguf::TensorType::kQ8_0);
  ASSERT_TRUE(converted.ok()) << converted.error().message;
  kernels::ThreadPool pool(1);
  for (const Conversion& c : converted->conversions) ASSERT_TRUE(convert(c, pool).ok());
  for (const size_t odd : {0U, 1U}) {
    const std::string name = odd == 0 ? "blk.5.ffn_gate_exps" : "blk.5.ffn_up_exps";
    const gguf::Tensor& w = tensor_of(*converted, name + ".weight");
    EXPECT_EQ(w.type, gguf::TensorType::kMXFP4);
    EXPECT_EQ(w.shape, (std::vector<uint64_t>{32, 2, 2}));
    const gguf::Tensor& b = tensor_of(*converted, name + ".bias");
    EXPECT_EQ(b.shape, (std::vector<uint64_t>{2, 2}));
    for (size_t row = 0; row < 4; ++row) {  // over both experts
      const size_t from = 2 * row + odd;
      const std::byte* block = w.data.data() + row * 17;
      EXPECT_EQ(block[0], scales[from]);
      for (size_t i = 0; i < 32; ++i) {
        const auto code = codes[from * 16 + i / 2] >> (i % 2 * 4) & std::byte{15};
        EXPECT_EQ(block[1 + i % 16] >> (i / 16 * 4) & std::byte{15}, code) << row << " " << i;
      }
      float bias = -1;
      std::memcpy(&bias, b.data.data() + row * sizeof bias, sizeof bias);
      EXPECT_EQ(bias, biases[from]);
    }
  }
}

}  // namespace
}  // namespace weir::checkpoint
