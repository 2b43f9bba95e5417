#include "ops/quantize/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace weir::ops {
namespace {

// Columns of R side by side: [n, n].
std::vector<double> matrix(const Rotation& r) {
  const size_t n = r.size();
  std::vector<double> m(n * n);
  for (size_t i = 0; i < n; ++i) m[i * n + i] = 1;
  r.apply(m, n);
  return m;
}

TEST(Rotation, IsOrthogonal) {
  for (const size_t n : {1U, 2U, 3U, 9U, 64U, 96U, 144U}) {
    for (const bool signs : {false, true}) {
      const Rotation r = *Rotation::make(n, signs ? std::optional<uint64_t>(7) : std::nullopt, 0);
      const std::vector<double> m = matrix(r);
      for (size_t a = 0; a < n; ++a) {
        for (size_t b = a; b < n; ++b) {
          double dot = 0;
          for (size_t i = 0; i < n; ++i) dot += m[i * n + a] * m[i * n + b];
          ASSERT_NEAR(dot, a == b ? 1 : 0, 1e-12) << n << " " << a << " " << b;
        }
      }
    }
  }
}

TEST(Rotation, SpreadsASingleChannelOverAll) {
  for (const size_t n : {64U, 576U}) {
    const Rotation r = *Rotation::make(n, 3, 1);
    std::vector<double> x(n);
    x[17] = 1;
    r.apply(x, 1);
    for (const double v : x)
      EXPECT_LE(std::fabs(v), std::sqrt(2.0 / static_cast<double>(n)) + 1e-12);
  }
}

TEST(Rotation, LanesAreVectorsOfTheirOwnAndSeedsAndStreamsDiffer) {
  constexpr size_t kSize = 96, kLanes = 5;
  const Rotation r = *Rotation::make(kSize, 3, 1);
  std::vector<double> together(kSize * kLanes);
  for (size_t i = 0; i < together.size(); ++i) together[i] = random_unit(1, 0, i) - 0.5;
  std::vector<std::vector<double>> alone(kLanes, std::vector<double>(kSize));
  for (size_t i = 0; i < together.size(); ++i) alone[i % kLanes][i / kLanes] = together[i];
  r.apply(together, kLanes);
  for (auto& x : alone) r.apply(x, 1);
  for (size_t i = 0; i < together.size(); ++i)
    ASSERT_EQ(together[i], alone[i % kLanes][i / kLanes]);
  EXPECT_EQ(matrix(r), matrix(*Rotation::make(kSize, 3, 1)));
  EXPECT_NE(matrix(r), matrix(*Rotation::make(kSize, 4, 1)));
  EXPECT_NE(matrix(r), matrix(*Rotation::make(kSize, 3, 2)));
  EXPECT_NE(matrix(r), matrix(*Rotation::make(kSize, std::nullopt, 1)));
}

TEST(Rotation, AWidthWithAnEnormousOddPartIsRefused) {
  EXPECT_FALSE(Rotation::make(0, {}, 0).ok());
  EXPECT_FALSE(Rotation::make(2 * 1025, {}, 0).ok());
  EXPECT_TRUE(Rotation::make(2 * 1023, {}, 0).ok());
}

}  // namespace
}  // namespace weir::ops
