// Expected figures: scipy 1.17.1 and statsmodels' multipletests, as each test says.
#include "ops/eval/stats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weir::ops {
namespace {

TEST(EvalStatsTest, McNemarIsTheExactBinomialTest) {
  // scipy.stats.binomtest(min(b, c), b + c, 0.5).pvalue
  EXPECT_NEAR(mcnemar_exact(1, 9), 0.021484375, 1e-12);
  EXPECT_NEAR(mcnemar_exact(5, 5), 1.0, 1e-12);
  EXPECT_NEAR(mcnemar_exact(25, 10), 0.016673847800120715, 1e-12);
  EXPECT_NEAR(mcnemar_exact(0, 6), 0.03125, 1e-12);
  EXPECT_NEAR(mcnemar_exact(120, 160), 0.019606727290281328, 1e-10);
  EXPECT_EQ(mcnemar_exact(0, 0), 1.0);
}

TEST(EvalStatsTest, NormalQuantiles) {
  // scipy.stats.norm.ppf
  EXPECT_NEAR(normal_quantile(0.8), 0.8416212335729143, 1e-9);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-9);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306167813, 1e-9);
}

TEST(EvalStatsTest, HolmStepsDown) {
  // statsmodels.stats.multitest.multipletests(p, method="holm")
  const double p[] = {0.01, 0.04, 0.03, 0.005};
  const std::vector<double> adjusted = holm(p);
  EXPECT_NEAR(adjusted[0], 0.03, 1e-12);
  EXPECT_NEAR(adjusted[1], 0.06, 1e-12);
  EXPECT_NEAR(adjusted[2], 0.06, 1e-12);
  EXPECT_NEAR(adjusted[3], 0.02, 1e-12);
}

TEST(EvalStatsTest, BootstrapAgreesWithStudentAndIsDeterministic) {
  const double d[] = {0.1, -0.2, 0.3, 0.05, 0.4, -0.1, 0.2, 0.15, 0.0, 0.25, -0.05, 0.35};
  const PairedInterval r = paired_bootstrap(d, {});
  EXPECT_NEAR(r.mean, 0.1208333333333333, 1e-12);
  EXPECT_NEAR(r.sd, 0.18763883748662838, 1e-12);
  // scipy.stats.t.interval(0.95, 11, mean, sem): 0.0016 to 0.2401. scipy.stats.bootstrap's plain
  // percentiles, 0.0208 to 0.2208, are too narrow.
  EXPECT_NEAR(r.low, 0.0016133, 0.012);
  EXPECT_NEAR(r.high, 0.2400534, 0.012);
  EXPECT_LT(r.low, 0.0208);
  EXPECT_GT(r.high, 0.2208);
  const PairedInterval again = paired_bootstrap(d, {});
  EXPECT_EQ(r.low, again.low);
  EXPECT_EQ(r.high, again.high);
  EXPECT_NE(r.low, paired_bootstrap(d, {.seed = 2}).low);
  EXPECT_LT(share_at_or_above(r, 0.4, 12), 0.01);
  EXPECT_GT(share_at_or_above(r, 0.4, 12), 0);
  EXPECT_NEAR(share_at_or_above(r, r.mean, 12), 0.5, 0.05);
}

TEST(EvalStatsTest, ManyItemsGoByTheNormalDistribution) {
  std::vector<double> d(20'000);
  for (size_t i = 0; i < d.size(); ++i) d[i] = i % 2 == 0 ? 1 : 0;
  const PairedInterval r = paired_bootstrap(d, {});
  EXPECT_TRUE(r.means.empty());
  EXPECT_NEAR(r.high - r.mean, 1.96 * 0.5 / std::sqrt(20'000.0), 1e-4);
  EXPECT_NEAR(share_at_or_above(r, 0.5, d.size()), 0.5, 1e-9);
}

TEST(EvalStatsTest, OneItemSaysNothing) {
  const double one[] = {0.0};
  const PairedInterval r = paired_bootstrap(one, {});
  EXPECT_EQ(r.high, std::numeric_limits<double>::infinity());
  EXPECT_EQ(share_at_or_above(r, 5, 1), 1.0);
}

TEST(EvalStatsTest, ItemsForAMargin) {
  // ceil(((norm.ppf(0.975) + norm.ppf(0.8)) × sd / margin)²)
  EXPECT_EQ(items_for_margin(0.3, 0.01, 0.95, 0.8), 7064);
  EXPECT_EQ(items_for_margin(0.5, 0.02, 0.95, 0.8), 4906);
  EXPECT_EQ(items_for_margin(0, 0.02, 0.95, 0.8), 2);
  EXPECT_EQ(items_for_margin(0.5, 0, 0.95, 0.8), std::numeric_limits<int64_t>::max());
  for (const double sd : {std::nan(""), std::numeric_limits<double>::infinity(), 1e300})
    EXPECT_EQ(items_for_margin(sd, 0.02, 0.95, 0.8), std::numeric_limits<int64_t>::max()) << sd;
}

TEST(EvalStatsTest, NoDiscordantItemIsNotNoSpread) {
  EXPECT_NEAR(careful_binary_sd(0, 10), std::sqrt(1.0 / 12), 1e-12);
  EXPECT_NEAR(careful_binary_sd(9, 98), std::sqrt(0.1), 1e-12);
}

}  // namespace
}  // namespace weir::ops
