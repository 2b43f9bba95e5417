#include "quant/codec.h"
#include "base/paths_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "quant/half.h"

namespace weir::quant {
namespace {

using gguf::TensorType;
using ::testing::HasSubstr;

std::string golden(const std::string& name) {
  std::ifstream file(weir::paths::repository("tests/golden/quant/" + name), std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<float> golden_floats(const std::string& name) {
  const std::string text = golden(name);
  std::vector<float> values(text.size() / sizeof(float));
  std::memcpy(values.data(), text.data(), values.size() * sizeof(float));
  return values;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class Golden : public ::testing::TestWithParam<TensorType> {
 protected:
  std::string file(const char* verb, const char* suffix) const {
    return fmt::format("{}_{}.{}", verb, gguf::type_name(GetParam()), suffix);
  }
};

using Decode = Golden;
using Encode = Golden;

TEST_P(Decode, EqualsThePythonPackageBitForBit) {
  const std::string blocks = golden(file("decode", "bin"));
  const std::vector<float> expected = golden_floats(file("decode", "f32"));
  ASSERT_FALSE(expected.empty());
  std::vector<float> values(expected.size());
  const Status status = decode(GetParam(), bytes_of(blocks), values);
  ASSERT_TRUE(status.ok()) << status.error().message;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(expected[i]))
        << "value " << i << ": " << values[i] << " instead of " << expected[i];
  }
}

TEST_P(Decode, TakesAnyAlignment) {
  const std::string blocks = golden(file("decode", "bin"));
  const std::string shifted = "x" + blocks;
  std::vector<float> expected = golden_floats(file("decode", "f32"));
  std::vector<float> values(expected.size());
  ASSERT_TRUE(decode(GetParam(), bytes_of(shifted).subspan(1), values).ok());
  EXPECT_EQ(std::memcmp(values.data(), expected.data(), values.size() * sizeof(float)), 0);
}

TEST_P(Encode, EqualsThePythonPackageBitForBit) {
  const std::vector<float> values = golden_floats(file("encode", "f32"));
  const std::string expected = golden(file("encode", "bin"));
  ASSERT_FALSE(expected.empty());
  std::vector<std::byte> blocks(expected.size());
  const Status status = encode(GetParam(), values, blocks);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const gguf::TypeInfo& info = *gguf::type_info(GetParam());
  for (size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_EQ(std::to_integer<int>(blocks[i]), static_cast<unsigned char>(expected[i]))
        << "block " << i / info.block_bytes << ", byte " << i % info.block_bytes;
  }
}

std::string name_of(const ::testing::TestParamInfo<TensorType>& info) {
  return gguf::type_name(info.param);
}

INSTANTIATE_TEST_SUITE_P(
    Types, Decode,
    ::testing::Values(TensorType::kF16, TensorType::kBF16, TensorType::kQ4_0, TensorType::kQ4_1,
                      TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0, TensorType::kQ2_K,
                      TensorType::kQ3_K, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K,
                      TensorType::kIQ1_S, TensorType::kIQ1_M, TensorType::kIQ2_XXS,
                      TensorType::kIQ2_XS, TensorType::kIQ2_S, TensorType::kIQ3_XXS,
                      TensorType::kIQ3_S, TensorType::kIQ4_NL, TensorType::kIQ4_XS,
                      TensorType::kTQ1_0, TensorType::kTQ2_0, TensorType::kMXFP4,
                      TensorType::kNVFP4),
    name_of);
INSTANTIATE_TEST_SUITE_P(Types, Encode,
                         ::testing::Values(TensorType::kF16, TensorType::kBF16, TensorType::kQ4_0,
                                           TensorType::kQ4_1, TensorType::kQ8_0),
                         name_of);

TEST(Codec, F32IsCopied) {
  const std::vector<float> values = {
      0.0f, -0.0f, 1e-45f, 3.4e38f, std::numeric_limits<float>::infinity(), -1.5f};
  std::vector<std::byte> bytes(values.size() * 4);
  ASSERT_TRUE(encode(TensorType::kF32, values, bytes).ok());
  std::vector<float> back(values.size());
  ASSERT_TRUE(decode(TensorType::kF32, bytes, back).ok());
  EXPECT_EQ(std::memcmp(values.data(), back.data(), bytes.size()), 0);
}

TEST(Codec, PlainNumbersBecomeFloats) {
  const auto check = [](TensorType type, auto a, auto b) {
    const decltype(a) values[] = {a, b};
    float back[2];
    ASSERT_TRUE(decode(type, std::as_bytes(std::span(values)), back).ok());
    EXPECT_EQ(back[0], static_cast<float>(a));
    EXPECT_EQ(back[1], static_cast<float>(b));
  };
  check(TensorType::kF64, 0.1, -2.5e30);
  check(TensorType::kI8, int8_t{-128}, int8_t{127});
  check(TensorType::kI16, int16_t{-32768}, int16_t{5});
  check(TensorType::kI32, int32_t{-7}, int32_t{2'000'000'001});
  check(TensorType::kI64, int64_t{-1}, int64_t{1} << 62);
}

TEST(Codec, SaysWhichTypesItKnows) {
  EXPECT_TRUE(can_decode(TensorType::kQ6_K));
  EXPECT_FALSE(can_encode(TensorType::kQ6_K));
  EXPECT_TRUE(can_encode(TensorType::kQ8_0));
  EXPECT_FALSE(can_decode(TensorType::kQ1_0));
  std::vector<std::byte> bytes(18);
  std::vector<float> values(128);
  const Status status = decode(TensorType::kQ1_0, bytes, values);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(status.error().message, HasSubstr("Q1_0"));
  EXPECT_THAT(status.error().message, HasSubstr("Q4_K"));
  EXPECT_EQ(decode(static_cast<TensorType>(4000), bytes, values).error().code,
            ErrorCode::kUnsupported);
  EXPECT_THAT(encode(TensorType::kQ6_K, values, bytes).error().message,
              ::testing::Not(HasSubstr("Q4_K")));
}

TEST(Codec, RefusesSizesThatDoNotFit) {
  std::vector<std::byte> bytes(36);
  std::vector<float> values(64);
  EXPECT_TRUE(decode(TensorType::kQ4_0, bytes, values).ok());
  for (const auto& [n_values, n_bytes] :
       {std::pair<size_t, size_t>{63, 36}, {64, 35}, {32, 36}, {64, 18}, {0, 18}}) {
    const auto b = std::span(bytes).first(n_bytes);
    const auto v = std::span(values).first(n_values);
    EXPECT_EQ(decode(TensorType::kQ4_0, b, v).error().code, ErrorCode::kInvalidValue);
    EXPECT_EQ(encode(TensorType::kQ4_0, v, b).error().code, ErrorCode::kInvalidValue);
  }
  EXPECT_TRUE(decode(TensorType::kQ4_0, {}, {}).ok());
}

TEST(Codec, NamesTheValueThatCannotBeEncoded) {
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0}) {
    std::vector<std::byte> bytes(2 * gguf::type_info(type)->block_bytes);
    std::vector<float> values(64, 1.0f);
    for (const float bad : {std::nanf(""), -std::numeric_limits<float>::infinity(), 3e38f}) {
      values[40] = bad;
      const Status status = encode(type, values, bytes);
      ASSERT_FALSE(status.ok());
      EXPECT_EQ(status.error().code, ErrorCode::kInvalidValue);
      EXPECT_THAT(status.error().message, HasSubstr("value 40 is "));
    }
  }
}

// A code can be off by half a step, plus what rounding the scale to f16 costs.
TEST(Codec, EncodeThenDecodeIsClose) {
  std::vector<float> values(1024);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(static_cast<float>(i) * 0.37f) * 0.1f;
  const auto error = [&](TensorType type) {
    const gguf::TypeInfo& info = *gguf::type_info(type);
    std::vector<std::byte> bytes(values.size() / info.block_elements * info.block_bytes);
    std::vector<float> back(values.size());
    EXPECT_TRUE(encode(type, values, bytes).ok());
    EXPECT_TRUE(decode(type, bytes, back).ok());
    float worst = 0.0f;
    for (size_t i = 0; i < values.size(); ++i)
      worst = std::max(worst, std::fabs(values[i] - back[i]));
    return worst;
  };
  EXPECT_LT(error(TensorType::kQ8_0), 0.1f / 127 * 0.54f);
  EXPECT_LT(error(TensorType::kQ4_1), 0.2f / 15 * 0.51f);
  EXPECT_LT(error(TensorType::kQ4_0),
            0.1f / 8 * 1.01f);  // one end of the range has no code of its own
  EXPECT_LT(error(TensorType::kF16), 0.1f / 2048);
  EXPECT_LT(error(TensorType::kBF16), 0.1f / 256);
  EXPECT_EQ(error(TensorType::kF32), 0.0f);
}

// decode() has its own loops for these; one value at a time is the reference.
TEST(Codec, DecodesEveryHalfAsOneAtATimeDoes) {
  std::vector<uint16_t> halves(0x10000);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> values(halves.size());
  for (const auto type : {gguf::TensorType::kF16, gguf::TensorType::kBF16}) {
    ASSERT_TRUE(decode(type, std::as_bytes(std::span(halves)), values).ok());
    for (const uint16_t half : halves) {
      const float expected = type == gguf::TensorType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
      ASSERT_EQ(std::bit_cast<uint32_t>(values[half]), std::bit_cast<uint32_t>(expected)) << half;
    }
  }
}

}  // namespace
}  // namespace weir::quant
