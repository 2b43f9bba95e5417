#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace weir::checkpoint {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> file_of(const std::string& header, size_t data_bytes) {
  const uint64_t n = header.size();
  std::vector<std::byte> out(8 + n + data_bytes);
  std::memcpy(out.data(), &n, 8);
  std::memcpy(out.data() + 8, header.data(), n);
  for (size_t i = 0; i < data_bytes; ++i) out[8 + n + i] = static_cast<std::byte>(i);
  return out;
}

std::string error_of(const std::vector<std::byte>& bytes) {
  const auto result = parse_safetensors(bytes, "f");
  return result.ok() ? "" : result.error().message;
}
std::string error_of(const std::string& header, size_t data_bytes) {
  return error_of(file_of(header, data_bytes));
}

constexpr const char* kGood =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
    R"("a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},)"
    R"("none":{"dtype":"I8","shape":[0,3],"data_offsets":[4,4]},)"
    R"("one":{"dtype":"F16","shape":[],"data_offsets":[12,14]}}  )";

TEST(Safetensors, TensorsComeInOrderOfTheirData) {
  const auto bytes = file_of(kGood, 14);
  const auto tensors = parse_safetensors(bytes, "f");
  ASSERT_TRUE(tensors.ok()) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 4U);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].dtype, Dtype::kBF16);
  EXPECT_EQ((*tensors)[0].shape, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ((*tensors)[1].name, "none");
  EXPECT_EQ((*tensors)[2].name, "b");
  EXPECT_EQ((*tensors)[2].data.front(), std::byte{4});
  EXPECT_EQ((*tensors)[3].data.size(), 2U);
}

TEST(Safetensors, EveryCutIsAnError) {
  const auto bytes = file_of(kGood, 14);
  for (size_t n = 0; n < bytes.size(); ++n) {
    // A copy of exactly n bytes, so that a sanitizer sees a read behind them.
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_NE(error_of(cut), "") << n;
  }
}

TEST(Safetensors, MutatedBytesGiveTensorsWithinTheFileOrAnError) {
  std::mt19937 random(1);
  const auto good = file_of(kGood, 14);
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = good;
    for (int k = 0; k < 1 + i % 3; ++k) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    const auto tensors = parse_safetensors(bytes, "f");
    if (!tensors.ok()) continue;
    size_t sum = 0;
    for (const SafeTensor& t : *tensors) sum += t.data.size();
    ASSERT_LE(sum, bytes.size());
  }
}

TEST(Safetensors, TheHeaderIsBounded) {
  auto bytes = file_of("{}", 0);
  EXPECT_EQ(error_of(bytes), "");
  const uint64_t huge = UINT64_MAX;
  std::memcpy(bytes.data(), &huge, 8);
  EXPECT_THAT(error_of(bytes), HasSubstr("cut short"));
  EXPECT_THAT(error_of(file_of("{" + std::string(kMaxHeaderBytes, ' ') + "}", 0)),
              HasSubstr("the most is 100000000"));
  EXPECT_THAT(error_of("{\"a\":[" + std::string(kMaxHeaderValues, ',') + "]}", 0),
              HasSubstr("values that are read"));
  EXPECT_THAT(error_of("", 0), HasSubstr("does not start"));
  EXPECT_THAT(error_of(" {}", 0), HasSubstr("does not start"));
  EXPECT_THAT(error_of("{} x", 0), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(R"({"__metadata__":{"a":1}})", 0), HasSubstr("object of strings"));
}

std::string tensor(const std::string& rest) { return R"({"t":{)" + rest + "}}"; }

TEST(Safetensors, EachFieldIsChecked) {
  EXPECT_THAT(error_of(R"({"t":1})", 0), HasSubstr("object of dtype"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F32","shape":[1])"), 4), HasSubstr("object of dtype"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F31","shape":[1],"data_offsets":[0,4])"), 4),
              HasSubstr("unknown dtype \"F31\"; known: F64, F32"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4),
              HasSubstr("not negative"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), 4),
              HasSubstr("not negative"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4),
              HasSubstr("ask for 8 bytes, data_offsets for 4"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4),
              HasSubstr("do not lie within"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 4),
              HasSubstr("do not lie within"));
  EXPECT_THAT(error_of(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])"), 4),
              HasSubstr("two numbers"));
  EXPECT_THAT(
      error_of(tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), 4),
      HasSubstr("9 dimensions"));
}

TEST(Safetensors, AShapeCannotOverflow) {
  // 2^62 · 4 bytes is 0 in 64 bits.
  EXPECT_THAT(
      error_of(tensor(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])"), 0),
      HasSubstr("beyond 64 bits"));
}

TEST(Safetensors, GapsOverlapsAndDuplicatesAreErrors) {
  const auto two = [](const char* first, const char* second, const char* name = "b") {
    return fmt::format(R"({{"a":{{"dtype":"I8","shape":[4],"data_offsets":{}}},)"
                       R"("{}":{{"dtype":"I8","shape":[4],"data_offsets":{}}}}})",
                       first, name, second);
  };
  EXPECT_EQ(error_of(two("[0,4]", "[4,8]"), 8), "");
  EXPECT_THAT(error_of(two("[0,4]", "[3,7]"), 7), HasSubstr("overlaps"));
  EXPECT_THAT(error_of(two("[0,4]", "[0,4]"), 4), HasSubstr("overlaps"));
  EXPECT_THAT(error_of(two("[0,4]", "[5,9]"), 9), HasSubstr("gap"));
  EXPECT_THAT(error_of(two("[1,5]", "[5,9]"), 9), HasSubstr("gap"));
  EXPECT_THAT(error_of(two("[0,4]", "[4,8]"), 9), HasSubstr("1 bytes behind the last tensor"));
  EXPECT_THAT(error_of(two("[0,4]", "[4,8]", "a"), 8), HasSubstr("twice"));
}

}  // namespace
}  // namespace weir::checkpoint
