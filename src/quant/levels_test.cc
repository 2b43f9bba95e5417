#include "quant/levels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "os/cpu.h"
#include "quant/codec.h"
#include "quant/quantize.h"

namespace weir::quant {
namespace {

using gguf::TensorType;

constexpr size_t kCols = 512;
constexpr TensorType kTypes[] = {TensorType::kQ4_0,  TensorType::kQ4_1,   TensorType::kQ5_0,
                                 TensorType::kQ5_1,  TensorType::kQ8_0,   TensorType::kQ2_K,
                                 TensorType::kQ3_K,  TensorType::kQ4_K,   TensorType::kQ5_K,
                                 TensorType::kQ6_K,  TensorType::kIQ4_NL, TensorType::kIQ4_XS,
                                 TensorType::kMXFP4, TensorType::kNVFP4};

std::vector<std::byte> encoded_row(TensorType type) {
  std::vector<float> x(kCols);
  for (size_t i = 0; i < kCols; ++i)
    x[i] = static_cast<float>(static_cast<double>(random_u64(3, 5, i) >> 40) * 0x1p-24 - 0.4);
  const gguf::TypeInfo& info = *gguf::type_info(type);
  std::vector<std::byte> row(kCols / info.block_elements * info.block_bytes);
  EXPECT_TRUE(quantize_rows(type, x, kCols, {}, row, best_search_isa(os::detect_cpu())).ok());
  return row;
}

TEST(Levels, StoredCodesDecodeToTheirLevels) {
  for (const TensorType type : kTypes) {
    SCOPED_TRACE(gguf::type_name(type));
    ASSERT_TRUE(has_levels(type));
    std::vector<std::byte> row = encoded_row(type);
    RowLevels levels;
    ASSERT_TRUE(read_levels(type, row, levels).ok());
    std::vector<uint8_t> codes(kCols);
    for (size_t i = 0; i < kCols; ++i)
      codes[i] = static_cast<uint8_t>(random_u64(7, 1, i) % levels.level.size());
    ASSERT_TRUE(store_codes(type, codes, row).ok());
    std::vector<float> values(kCols);
    ASSERT_TRUE(decode(type, row, values).ok());
    for (size_t i = 0; i < kCols; ++i) {
      const float expected = levels.unit[i] * levels.level[codes[i]] + levels.offset[i];
      ASSERT_NEAR(values[i], expected, 1e-5F + 1e-5F * std::fabs(expected)) << "column " << i;
    }
  }
}

// An encoded row's own codes are among those that reproduce it.
TEST(Levels, TheCodesOfAnEncodedRowGiveItsBytes) {
  for (const TensorType type : kTypes) {
    SCOPED_TRACE(gguf::type_name(type));
    const std::vector<std::byte> row = encoded_row(type);
    RowLevels levels;
    ASSERT_TRUE(read_levels(type, row, levels).ok());
    std::vector<float> values(kCols);
    ASSERT_TRUE(decode(type, row, values).ok());
    std::vector<uint8_t> codes(kCols);
    for (size_t i = 0; i < kCols; ++i) {
      float best = HUGE_VALF;
      for (size_t c = 0; c < levels.level.size(); ++c) {
        const float distance =
            std::fabs(values[i] - (levels.unit[i] * levels.level[c] + levels.offset[i]));
        if (!(distance < best)) continue;
        best = distance;
        codes[i] = static_cast<uint8_t>(c);
      }
    }
    std::vector<std::byte> again = row;
    ASSERT_TRUE(store_codes(type, codes, again).ok());
    std::vector<float> decoded(kCols);
    ASSERT_TRUE(decode(type, again, decoded).ok());
    EXPECT_EQ(values, decoded);
  }
}

TEST(Levels, TypesWithoutThemAndBadSizesAreRefused) {
  EXPECT_FALSE(has_levels(TensorType::kIQ2_S));
  EXPECT_FALSE(has_levels(TensorType::kF16));
  RowLevels levels;
  std::vector<std::byte> row(18);
  EXPECT_EQ(read_levels(TensorType::kF16, row, levels).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(read_levels(TensorType::kQ4_1, row, levels).error().code, ErrorCode::kInvalidValue);
  const std::vector<uint8_t> past(32, 16);
  EXPECT_EQ(store_codes(TensorType::kQ4_0, past, row).error().code, ErrorCode::kInvalidValue);
  const std::vector<uint8_t> few(16);
  EXPECT_EQ(store_codes(TensorType::kQ4_0, few, row).error().code, ErrorCode::kInvalidValue);
}

}  // namespace
}  // namespace weir::quant
