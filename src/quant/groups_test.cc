#include "quant/groups.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "quant/e4m3.h"
#include "quant/half.h"

namespace weir::quant {
namespace {

// Sums of uniform numbers: something like weights.
std::vector<float> weights(size_t n, uint64_t seed, float middle = 0) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    double sum = -2;
    for (uint64_t j = 0; j < 4; ++j) sum += random_unit(seed, j, i);
    x[i] = static_cast<float>(sum) + middle;
  }
  return x;
}

double error_of(const std::vector<float>& x, const IntegerScale& s, int bits) {
  std::vector<uint8_t> codes(x.size());
  encode_integers(x, s, bits, codes);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_LT(codes[i], 1 << bits);
    const double rest = x[i] - static_cast<float>(codes[i] - s.zero) * s.scale;
    sum += rest * rest;
  }
  return sum;
}

TEST(Groups, ScalesAreRoundedAsStoredAndNeverZero) {
  EXPECT_EQ(round_scale(0.1F, ScaleType::kF32), 0.1F);
  EXPECT_EQ(round_scale(0.1F, ScaleType::kF16), f16_to_f32(f32_to_f16(0.1F)));
  EXPECT_EQ(round_scale(0.1F, ScaleType::kBF16), bf16_to_f32(f32_to_bf16(0.1F)));
  EXPECT_EQ(round_scale(1e-12F, ScaleType::kF16), 0x1p-24F);
  EXPECT_GT(round_scale(0, ScaleType::kBF16), 0);
  EXPECT_GT(round_scale(0, ScaleType::kF32), 0);
  EXPECT_TRUE(std::isinf(round_scale(1e6F, ScaleType::kF16)));
}

TEST(Groups, IntegersThatLieOnCodesAreKept) {
  for (const int bits : {4, 8}) {
    for (const int zero : {1 << (bits - 1), 3}) {
      std::vector<float> x(size_t{1} << bits);
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(static_cast<int>(i) - zero) * 0.25F;
      const bool symmetric = zero != 3;
      const IntegerScale s = fit_integers(x, {bits, symmetric, 0}, ScaleType::kBF16);
      EXPECT_EQ(s.scale, 0.25F) << bits << ' ' << zero;
      EXPECT_EQ(s.zero, zero);
      std::vector<uint8_t> codes(x.size());
      encode_integers(x, s, bits, codes);
      for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(codes[i], i);
    }
  }
}

TEST(Groups, TheSearchBeatsTheScaleThatSpansTheGroup) {
  double searched = 0, spanning = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> x = weights(128, seed);
    float largest = 0;
    for (const float v : x) largest = std::max(largest, std::fabs(v));
    searched += error_of(x, fit_integers(x, {4, true, 0}, ScaleType::kF16), 4);
    spanning += error_of(x, {round_scale(largest / 7, ScaleType::kF16), 8}, 4);
  }
  EXPECT_LT(searched, 0.9 * spanning);
}

TEST(Groups, ZeroPointsPayWhereAGroupIsOffCentre) {
  const std::vector<float> x = weights(64, 5, 1.5F);
  EXPECT_LT(error_of(x, fit_integers(x, {4, false, 0}, ScaleType::kF16), 4),
            0.6 * error_of(x, fit_integers(x, {4, true, 0}, ScaleType::kF16), 4));
}

TEST(Groups, TheLeastZeroPointIsKept) {
  const std::vector<float> x = weights(64, 6, 4);  // all positive: 0 would be the best
  EXPECT_EQ(fit_integers(x, {4, false, 0}, ScaleType::kF16).zero, 0);
  EXPECT_EQ(fit_integers(x, {4, false, 1}, ScaleType::kF16).zero, 1);
  std::vector<float> zeros(32);
  EXPECT_EQ(fit_integers(zeros, {4, false, 1}, ScaleType::kF16).zero, 1);
  EXPECT_EQ(fit_integers(zeros, {4, true, 0}, ScaleType::kF16).zero, 8);
  EXPECT_EQ(fit_integers(zeros, {4, true, 0}, ScaleType::kF16).scale, 1);
}

TEST(Groups, ValuesThatWeighMoreAreCloser) {
  double plain = 0, weighted = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> x = weights(128, seed);
    std::vector<float> weight(x.size());
    for (size_t i = 0; i < x.size(); ++i) weight[i] = i % 16 == 0 ? 100 : 1;
    const auto error = [&](const IntegerScale& s) {
      std::vector<uint8_t> codes(x.size());
      encode_integers(x, s, 4, codes);
      double sum = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double rest = x[i] - static_cast<float>(codes[i] - s.zero) * s.scale;
        sum += weight[i] * rest * rest;
      }
      return sum;
    };
    plain += error(fit_integers(x, {4, false, 0}, ScaleType::kF16));
    weighted += error(fit_integers(x, {4, false, 0}, ScaleType::kF16, weight));
    const std::vector<float> alike(x.size(), 2);
    EXPECT_EQ(fit_integers(x, {4, true, 0}, ScaleType::kF16, alike).scale,
              fit_integers(x, {4, true, 0}, ScaleType::kF16).scale);
  }
  EXPECT_LT(weighted, 0.8 * plain);
}

TEST(Groups, TinyValuesHaveAScale) {
  std::vector<float> x(32, 1e-9F);
  const IntegerScale s = fit_integers(x, {4, true, 0}, ScaleType::kF16);
  EXPECT_GT(s.scale, 0);
  EXPECT_LE(error_of(x, s, 4), 33e-18);
}

TEST(Groups, E4m3ValuesThatLieOnCodesAreKept) {
  std::vector<float> x;
  for (int code = 0; code < 127; ++code) {
    x.push_back(e4m3_to_f32(static_cast<uint8_t>(code)) * 0x1p-4F);
    x.push_back(-x.back());
  }
  const float scale = fit_e4m3(x, ScaleType::kBF16);
  std::vector<uint8_t> codes(x.size());
  encode_e4m3(x, scale, codes);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(e4m3_to_f32(codes[i]) * scale, x[i]);
  EXPECT_EQ(fit_e4m3(std::vector<float>(8), ScaleType::kBF16), 1);
}

TEST(Groups, E4m3IsWithinAStepOfEveryValue) {
  const std::vector<float> x = weights(2000, 7);
  const float scale = fit_e4m3(x, ScaleType::kBF16);
  std::vector<uint8_t> codes(x.size());
  encode_e4m3(x, scale, codes);
  float largest = 0;
  for (const float v : x) largest = std::max(largest, std::fabs(v));
  for (size_t i = 0; i < x.size(); ++i) {
    // Half a step of three bits, or of the subnormal codes; a cut of 16 % at most for the largest.
    const float bound = std::fabs(x[i]) > 0.84F * largest
                            ? 0.16F * largest
                            : std::max(std::fabs(x[i]) / 16, scale * 0x1p-10F);
    EXPECT_LE(std::fabs(e4m3_to_f32(codes[i]) * scale - x[i]), bound * 1.001F);
  }
}

}  // namespace
}  // namespace weir::quant
