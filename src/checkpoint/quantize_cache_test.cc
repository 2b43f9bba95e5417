#include "checkpoint/quantize_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace weir::checkpoint {
namespace {

using ::testing::HasSubstr;

TEST(CacheScale, SpansTheLargestMagnitude) {
  const std::array<float, 3> largest = {1, 896, 2};
  EXPECT_EQ(*cache_scale(largest, {}), 2.0F);
  const std::array<float, 3> factors = {1, 0.25F, -224};  // of what was folded afterwards
  EXPECT_EQ(*cache_scale(largest, factors), 1.0F);
  EXPECT_EQ(*cache_scale(std::array<float, 2>{}, {}), 1.0F);  // zeros: any scale, but no 0
}

TEST(CacheScale, NeedsWhatWasMeasuredOfThisModel) {
  EXPECT_THAT(cache_scale({}, {}).error().message, HasSubstr("weir imatrix MODEL --data TEXT"));
  const std::array<float, 2> largest = {1, 2};
  EXPECT_EQ(cache_scale(largest, std::array<float, 3>{1, 1, 1}).error().code, ErrorCode::kCorrupt);
  const std::array<float, 1> infinite = {std::numeric_limits<float>::infinity()};
  EXPECT_EQ(cache_scale(infinite, {}).error().code, ErrorCode::kInvalidValue);
}

TEST(CacheModule, IsFoundByTheMatrixBehindTheAttention) {
  const Family& llama = *find_family("llama");
  const auto module = cache_module(llama, "model.layers.12.self_attn.o_proj.weight");
  ASSERT_TRUE(module);
  EXPECT_EQ(module->layer, 12);
  EXPECT_EQ(module->name, "model.layers.12.self_attn");
  for (const char* other : {"model.layers.12.self_attn.v_proj.weight", "model.norm.weight", "",
                            "model.layers.12.self_attn.o_proj.bias", "model.layers.o_proj.weight"})
    EXPECT_FALSE(cache_module(llama, other)) << other;
}

}  // namespace
}  // namespace weir::checkpoint
