#include "quant/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "quant/codec.h"

namespace weir::quant {
namespace {

using gguf::TensorType;
using ::testing::HasSubstr;

constexpr size_t kCols = 1024;
constexpr size_t kRows = 24;

std::vector<SearchIsa> present_isas() {
  std::vector<SearchIsa> isas{SearchIsa::kScalar};
  const SearchIsa best = best_search_isa(os::detect_cpu());
  if (best != SearchIsa::kScalar) isas.push_back(SearchIsa::kAvx2);
  if (best == SearchIsa::kAvx512) isas.push_back(best);
  return isas;
}

// Normal, as weights are nearly.
std::vector<float> normal_values(size_t count, float sigma, uint64_t seed) {
  const auto uniform = [seed](uint64_t i) {
    return (static_cast<float>(random_u64(seed, 0, i) >> 40) + 0.5F) * 0x1p-24F;
  };
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = sigma * std::sqrt(-2.0F * std::log(uniform(2 * i))) *
                std::cos(6.2831853F * uniform(2 * i + 1));
  }
  return values;
}

std::vector<float> some_importance(size_t cols) {
  std::vector<float> importance = normal_values(cols, 1.5F, 5);
  for (float& v : importance) v = std::exp(v);
  return importance;
}

std::vector<std::byte> quantized(TensorType type, std::span<const float> values, size_t cols,
                                 std::span<const float> importance,
                                 SearchIsa isa = best_search_isa(os::detect_cpu())) {
  const gguf::TypeInfo& info = *gguf::type_info(type);
  std::vector<std::byte> bytes(values.size() / info.block_elements * info.block_bytes);
  const Status status = quantize_rows(type, values, cols, importance, bytes, isa);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return bytes;
}

// sqrt(Σ w·(x − x̂)² / Σ w·x²)
double relative_error(TensorType type, std::span<const float> values,
                      std::span<const std::byte> bytes, std::span<const float> importance) {
  std::vector<float> back(values.size());
  const Status status = decode(type, bytes, back);
  EXPECT_TRUE(status.ok()) << status.error().message;
  double error = 0, all = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double w = importance.empty() ? 1.0 : importance[i % importance.size()];
    const double rest = values[i] - back[i];
    error += w * rest * rest;
    all += w * values[i] * values[i];
  }
  return std::sqrt(error / all);
}

struct Row {
  TensorType type;
  double bound;  // of the relative error of normal values, 2 % above what was measured
};

class Types : public ::testing::TestWithParam<Row> {};

TEST_P(Types, KeepsTheErrorOfNormalValuesSmall) {
  const auto values = normal_values(kCols * kRows, 0.02F, 1);
  const double error =
      relative_error(GetParam().type, values, quantized(GetParam().type, values, kCols, {}), {});
  RecordProperty("error", std::to_string(error));
  EXPECT_LT(error, GetParam().bound);
  EXPECT_GT(error, GetParam().bound * 0.9);
}

TEST_P(Types, GivesTheSameBitsWithEveryInstructionSet) {
  const auto values = normal_values(kCols * 3, 0.02F, 2);
  const auto importance = some_importance(kCols);
  for (const bool with : {false, true}) {
    const std::span<const float> used =
        with ? std::span<const float>(importance) : std::span<const float>();
    const auto expected = quantized(GetParam().type, values, kCols, used, SearchIsa::kScalar);
    for (const SearchIsa isa : present_isas())
      EXPECT_EQ(quantized(GetParam().type, values, kCols, used, isa), expected);
  }
}

TEST_P(Types, ARowDependsOnItselfAlone) {
  const auto values = normal_values(kCols * 3, 0.02F, 3);
  const auto importance = some_importance(kCols);
  const auto all = quantized(GetParam().type, values, kCols, importance);
  for (size_t row = 0; row < 3; ++row) {
    const auto alone = quantized(GetParam().type, std::span(values).subspan(row * kCols, kCols),
                                 kCols, importance);
    EXPECT_EQ(std::memcmp(alone.data(), all.data() + row * alone.size(), alone.size()), 0) << row;
  }
}

// Where the search takes importance into account, the columns that matter come out closer.
TEST_P(Types, ImportanceLowersTheErrorThatItWeighs) {
  const TensorType type = GetParam().type;
  const auto values = normal_values(kCols * kRows, 0.02F, 4);
  const auto importance = some_importance(kCols);
  const double blind = relative_error(type, values, quantized(type, values, kCols, {}), importance);
  const double seeing =
      relative_error(type, values, quantized(type, values, kCols, importance), importance);
  if (type == TensorType::kF16 || type == TensorType::kBF16 || type == TensorType::kQ8_0) {
    EXPECT_EQ(seeing, blind);
  } else {
    EXPECT_LT(seeing, blind * 0.995);
  }
}

TEST_P(Types, TakesValuesOfEveryShape) {
  const TensorType type = GetParam().type;
  std::vector<float> zeros(kCols, 0.0F), constant(kCols, -0.75F), spike(kCols, 0.0F),
      tiny(kCols, 1e-30F), large(kCols);
  spike[300] = 2.0F;
  for (size_t i = 0; i < kCols; ++i)
    large[i] = (i % 2 == 0 ? 1.0F : -1.0F) * (type == TensorType::kNVFP4 ? 2600.0F : 60000.0F);
  const std::vector<float> no_importance(kCols, 0.0F);
  // The least magnitude of a row of IQ2 is a fifth of the greatest: around a spike zeros have a
  // say.
  const bool two_bits =
      type == TensorType::kIQ2_XXS || type == TensorType::kIQ2_XS || type == TensorType::kIQ2_S;
  const float share = two_bits ? 0.55F : 0.3F;
  for (const auto* values : {&zeros, &constant, &spike, &tiny, &large}) {
    for (const std::span<const float> importance :
         {std::span<const float>(), std::span<const float>(no_importance)}) {
      std::vector<float> back(kCols);
      ASSERT_TRUE(decode(type, quantized(type, *values, kCols, importance), back).ok());
      for (size_t i = 0; i < kCols; ++i) {
        const float largest = std::fabs((*values)[300]);
        EXPECT_LE(std::fabs(back[i] - (*values)[i]), share * largest + 1e-6F) << i;
      }
    }
  }
}

TEST_P(Types, NamesWhatIsNoWeight) {
  const TensorType type = GetParam().type;
  const gguf::TypeInfo& info = *gguf::type_info(type);
  auto values = normal_values(kCols * 2, 0.02F, 6);
  std::vector<std::byte> bytes(values.size() / info.block_elements * info.block_bytes);
  for (const float bad : {std::nanf(""), -std::numeric_limits<float>::infinity(), 70000.0F}) {
    values[kCols + 7] = bad;
    const Status status = quantize_rows(type, values, kCols, {}, bytes, SearchIsa::kScalar);
    if (type == TensorType::kBF16 && std::isfinite(bad)) {
      EXPECT_TRUE(status.ok());
      continue;
    }
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidValue);
    EXPECT_THAT(status.error().message, HasSubstr("row 1, column 7 is "));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Types,
    ::testing::Values(Row{TensorType::kF16, 0.00021}, Row{TensorType::kBF16, 0.0017},
                      Row{TensorType::kQ8_0, 0.00544}, Row{TensorType::kQ4_0, 0.0822},
                      Row{TensorType::kQ4_1, 0.0701}, Row{TensorType::kQ5_0, 0.0408},
                      Row{TensorType::kQ5_1, 0.0338}, Row{TensorType::kQ2_K, 0.263},
                      Row{TensorType::kQ3_K, 0.146}, Row{TensorType::kQ4_K, 0.0708},
                      Row{TensorType::kQ5_K, 0.035}, Row{TensorType::kQ6_K, 0.0172},
                      Row{TensorType::kIQ4_NL, 0.0746}, Row{TensorType::kIQ4_XS, 0.0753},
                      Row{TensorType::kMXFP4, 0.113}, Row{TensorType::kNVFP4, 0.0907},
                      Row{TensorType::kIQ1_S, 0.4587}, Row{TensorType::kIQ1_M, 0.4248},
                      Row{TensorType::kIQ2_XXS, 0.3365}, Row{TensorType::kIQ2_XS, 0.2933},
                      Row{TensorType::kIQ2_S, 0.2446}, Row{TensorType::kIQ3_XXS, 0.1819},
                      Row{TensorType::kIQ3_S, 0.1326}, Row{TensorType::kTQ1_0, 0.44},
                      Row{TensorType::kTQ2_0, 0.44}),
    [](const auto& row) { return gguf::type_name(row.param.type); });

// The encoders of codec.h are those of the Python package `gguf`; a search must not do worse.
TEST(Quantize, IsAtLeastAsCloseAsEncodingWithoutASearch) {
  const auto values = normal_values(kCols * kRows, 0.02F, 7);
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0}) {
    const gguf::TypeInfo& info = *gguf::type_info(type);
    std::vector<std::byte> plain(values.size() / info.block_elements * info.block_bytes);
    ASSERT_TRUE(encode(type, values, plain).ok());
    EXPECT_LE(relative_error(type, values, quantized(type, values, kCols, {}), {}),
              relative_error(type, values, plain, {}) * (type == TensorType::kQ8_0 ? 1 : 0.96));
  }
}

// Values on a grid that the format has come back exactly.
TEST(Quantize, FindsTheGridThatValuesCameFrom) {
  std::vector<float> values(kCols);
  const auto code = [](size_t i, uint32_t codes) {
    return static_cast<float>(random_u64(9, 0, i) % codes);
  };
  for (size_t i = 0; i < kCols; ++i) {
    const float c = i % 32 == 3 ? 0.0F : i % 32 == 5 ? 15.0F : code(i, 16);
    values[i] = 0.015625F * c - 0.109375F;
  }
  for (const TensorType type : {TensorType::kQ4_1, TensorType::kQ5_1})
    EXPECT_EQ(relative_error(type, values, quantized(type, values, kCols, {}), {}), 0.0);
  for (size_t i = 0; i < kCols; ++i) values[i] = 0.0078125F * (code(i, 3) - 1.0F);
  for (const TensorType type : {TensorType::kTQ1_0, TensorType::kTQ2_0})
    EXPECT_EQ(relative_error(type, values, quantized(type, values, kCols, {}), {}), 0.0);
}

TEST(Quantize, ZerosStayZeros) {
  const std::vector<float> zeros(256);
  for (const TensorType type : {TensorType::kMXFP4, TensorType::kNVFP4, TensorType::kQ4_0}) {
    const gguf::TypeInfo& info = *gguf::type_info(type);
    std::vector<std::byte> bytes(256 / info.block_elements * info.block_bytes);
    ASSERT_TRUE(quantize_rows(type, zeros, 256, {}, bytes, SearchIsa::kScalar).ok());
    std::vector<float> back(256, 1);
    ASSERT_TRUE(decode(type, bytes, back).ok());
    EXPECT_EQ(back, zeros) << gguf::type_name(type);
  }
}

TEST(Quantize, RefusesWhatDoesNotFit) {
  std::vector<float> values(512), importance(256);
  std::vector<std::byte> bytes(288);
  const auto code = [&](TensorType type, size_t n, size_t cols, size_t n_importance,
                        size_t n_bytes) {
    const Status status = quantize_rows(type, std::span(values).first(n), cols,
                                        std::span(importance).first(n_importance),
                                        std::span(bytes).first(n_bytes), SearchIsa::kScalar);
    return status.ok() ? "" : std::string(error_code_name(status.error().code));
  };
  EXPECT_EQ(code(TensorType::kQ4_K, 512, 256, 256, 288), "");
  EXPECT_EQ(code(TensorType::kQ4_K, 512, 256, 0, 288), "");
  EXPECT_EQ(code(TensorType::kQ4_K, 512, 128, 0, 288), "invalid_value");  // half a block a row
  EXPECT_EQ(code(TensorType::kQ4_K, 512, 0, 0, 288), "invalid_value");
  EXPECT_EQ(code(TensorType::kQ4_K, 512, 256, 255, 288), "invalid_value");
  EXPECT_EQ(code(TensorType::kQ4_K, 512, 256, 0, 287), "invalid_value");
  EXPECT_EQ(code(TensorType::kQ4_K, 300, 256, 0, 288), "invalid_value");
  EXPECT_EQ(code(TensorType::kQ8_1, 512, 256, 0, 288), "unsupported");
  EXPECT_FALSE(can_quantize(TensorType::kQ8_1));
  EXPECT_THAT(quantizable_types(), HasSubstr("Q4_K"));
}

}  // namespace
}  // namespace weir::quant
