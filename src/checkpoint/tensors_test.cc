#include "checkpoint/tensors.h"

<<<<<<< HEAD
#include <gtest/gtest.h>
=======
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "checkpoint/families.h"
>>>>>>> att

namespace weir::checkpoint {
namespace {

<<<<<<< HEAD
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
=======
int64_t peak_resident_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// A tensor of four zeros for an expert of a layer.
SafeTensor expert_tensor(int layer, int expert) {
  static const std::vector<std::byte> zeros(4 * sizeof(float));
  return {fmt::format("model.layers.{}.mlp.experts.{}.up_proj.weight", layer, expert),
          Dtype::kF32,
          {2, 2},
          zeros};
}

HfConfig with_experts(int64_t experts) {
  HfConfig config;
  config.family = find_family("deepseek_v3");
  config.experts = experts;
  return config;
}

TEST(ConvertTensors, ExpertsAreStackedInTheirOrder) {
  const auto got = convert_tensors(with_experts(3),
                                   {expert_tensor(0, 2), expert_tensor(0, 0), expert_tensor(0, 1)},
                                   std::nullopt);
  ASSERT_TRUE(got.ok()) << got.error().message;
  ASSERT_EQ(got->tensors.size(), 1U);
  EXPECT_EQ(got->tensors[0].shape, (std::vector<uint64_t>{2, 2, 3}));
  EXPECT_EQ(got->conversions.at(0).slices.size(), 3U);
}

TEST(ConvertTensors, AnExpertThatIsMissingOrThereTwiceIsNamed) {
  const auto refusal = [](const std::vector<SafeTensor>& source) {
    const auto got = convert_tensors(with_experts(3), source, std::nullopt);
    return got.ok() ? "" : got.error().message;
  };
  const SafeTensor a = expert_tensor(0, 0);
  const SafeTensor b = expert_tensor(0, 1);
  const SafeTensor c = expert_tensor(0, 2);
  for (const auto& [source, words] :
       {std::pair{std::vector{b, c}, "expert 0 of blk.0.ffn_up_exps.weight is missing"},
        {std::vector{a, c}, "expert 1 of blk.0.ffn_up_exps.weight is missing"},
        {std::vector{a, b}, "expert 2 of blk.0.ffn_up_exps.weight is missing"},
        {std::vector{a, b, a}, "are one and the same"},
        {std::vector{expert_tensor(0, 3)}, "config.json has 3 experts"}})
    EXPECT_NE(refusal(source).find(words), std::string::npos) << refusal(source);
}

// A file of one tensor a layer that claims many experts: room for all of them would be 512 KiB a
// tensor.
TEST(ConvertTensors, ExpertsThatAreOnlyClaimedTakeNoMemory) {
  std::vector<SafeTensor> source;
  for (int layer = 0; layer < 600; ++layer) source.push_back(expert_tensor(layer, 0));
  const int64_t before = peak_resident_kib();
  EXPECT_FALSE(convert_tensors(with_experts(1 << 16), source, std::nullopt).ok());
  EXPECT_LT(peak_resident_kib() - before, 64 << 10);
>>>>>>> att
}

}  // namespace
}  // namespace weir::checkpoint
