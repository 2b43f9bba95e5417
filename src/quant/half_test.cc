#include "quant/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/rng.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace weir::quant {
namespace {

// The definition of binary16, written down without bit tricks.
double f16_by_definition(uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int mantissa = half & 0x3ff;
  const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 0x1f) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(F16, AllPatternsDecodeByDefinition) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double expected = f16_by_definition(half);
    const float value = f16_to_f32(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << bits;
    ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << bits;
  }
}

TEST(F16, AllPatternsSurviveTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const bool is_nan = (half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0;
    const uint16_t expected = is_nan ? half | 0x200 : half;  // NaNs come back quiet
    ASSERT_EQ(f32_to_f16(f16_to_f32(half)), expected) << bits;
  }
}

// Between neighbours a and b: below the middle gives a, above it b, the middle the even one.
TEST(F16, RoundsToNearestEvenBetweenAllNeighbours) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const float middle = (f16_to_f32(low) + f16_to_f32(high)) / 2;  // exact in f32
    ASSERT_EQ(f32_to_f16(middle), (low & 1) == 0 ? low : high) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), high) << bits;
    ASSERT_EQ(f32_to_f16(-middle), 0x8000 | ((low & 1) == 0 ? low : high)) << bits;
  }
}

TEST(F16, OverflowsToInfinityFromHalfAStepAboveTheLargest) {
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-65536.0f), 0xfc00);
  EXPECT_EQ(f32_to_f16(3e38f), 0x7c00);
  EXPECT_EQ(f32_to_f16(HUGE_VALF), 0x7c00);
  EXPECT_EQ(f32_to_f16(1e-45f), 0);
  EXPECT_EQ(f32_to_f16(-1e-45f), 0x8000);
}

#if defined(__x86_64__)
// CPUID.1:ECX bit 29; the builtin for AVX also asks whether the kernel saves its registers.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) != 0 &&
         ((c >> 29) & 1) != 0;
}

__attribute__((target("f16c"))) uint16_t hardware_encode(float value) {
  return static_cast<uint16_t>(
      _mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT), 0));
}
__attribute__((target("f16c"))) float hardware_decode(uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

TEST(F16, EqualsTheHardwareAlsoForNaN) {
  if (!has_f16c()) GTEST_SKIP() << "no F16C on this machine";
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    ASSERT_EQ(std::bit_cast<uint32_t>(f16_to_f32(half)),
              std::bit_cast<uint32_t>(hardware_decode(half)))
        << bits;
  }
  Rng rng(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(rng.next()));
    ASSERT_EQ(f32_to_f16(value), hardware_encode(value)) << std::bit_cast<uint32_t>(value);
  }
}
#endif

TEST(BF16, AllPatternsSurviveTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const bool is_nan = (half & 0x7f80) == 0x7f80 && (half & 0x7f) != 0;
    ASSERT_EQ(std::bit_cast<uint32_t>(bf16_to_f32(half)), bits << 16);
    ASSERT_EQ(f32_to_bf16(bf16_to_f32(half)), is_nan ? half | 0x40 : half) << bits;
  }
}

TEST(BF16, RoundsToNearestEven) {
  const auto encode = [](uint32_t bits) { return f32_to_bf16(std::bit_cast<float>(bits)); };
  EXPECT_EQ(encode(0x3f808000), 0x3f80);  // tie, even below
  EXPECT_EQ(encode(0x3f818000), 0x3f82);  // tie, even above
  EXPECT_EQ(encode(0x3f808001), 0x3f81);
  EXPECT_EQ(encode(0x3f807fff), 0x3f80);
  EXPECT_EQ(encode(0x7f7fffff), 0x7f80);  // infinity
  EXPECT_EQ(encode(0x7f800001), 0x7fc0);  // a NaN whose payload would vanish stays one
  EXPECT_EQ(encode(0x80000001), 0x8000);
}

}  // namespace
}  // namespace weir::quant
