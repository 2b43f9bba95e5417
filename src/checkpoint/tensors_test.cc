#include "checkpoint/tensors.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace weir::checkpoint
