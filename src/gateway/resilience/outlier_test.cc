// Who is ejected, for how long, and who may not be.
#include "gateway/resilience/outlier.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

OutlierDetector pool_of(size_t n, const OutlierConfig& config = {}) {
  OutlierDetector out(config);
  for (size_t i = 0; i < n; ++i) EXPECT_EQ(out.add(), i);
  (void)out.sweep(0);  // the first interval begins
  return out;
}

// n results of one endpoint, of which every `every`-th fails.
void results(OutlierDetector& pool, size_t endpoint, int n, int every) {
  for (int i = 1; i <= n; ++i) (void)pool.record(endpoint, every == 0 || i % every != 0, kMs);
}

TEST(OutlierTest, FailuresInARow) {
  OutlierDetector pool = pool_of(4);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) EXPECT_FALSE(pool.record(1, false, kMs));
    EXPECT_FALSE(pool.record(1, true, kMs));
  }
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(pool.record(1, false, kMs));
  const auto ejection = pool.record(1, false, kMs);
  ASSERT_TRUE(ejection);
  EXPECT_EQ(ejection->endpoint, 1U);
  EXPECT_EQ(ejection->until_ns, 10'001 * kMs);
  EXPECT_EQ(ejection_cause_name(ejection->cause), "consecutive");
  EXPECT_TRUE(pool.ejected(1, 10'000 * kMs));
  EXPECT_FALSE(pool.ejected(1, 10'001 * kMs));
  EXPECT_EQ(pool.ejected_count(kMs), 1U);
  EXPECT_EQ(pool.ejections(), 1U);
}

TEST(OutlierTest, EachEjectionIsLongerUntilItIsForgotten) {
  OutlierDetector pool = pool_of(4, {.interval_ms = 100'000, .max_ejection_ms = 25'000});
  int64_t now = kMs;
  for (const int64_t ms : {10'000, 20'000, 25'000}) {
    std::optional<Ejection> last;
    for (int i = 0; i < 5; ++i) last = pool.record(0, false, now);
    ASSERT_TRUE(last);
    EXPECT_EQ(last->until_ns - now, ms * kMs);
    now = last->until_ns;
  }
  for (int i = 0; i < 3; ++i) {  // three intervals in the pool
    now += 100'000 * kMs;
    EXPECT_TRUE(pool.sweep(now).empty());
  }
  std::optional<Ejection> last;
  for (int i = 0; i < 5; ++i) last = pool.record(0, false, now);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->until_ns - now, 10'000 * kMs);
}

TEST(OutlierTest, NeverMoreThanItsPartOfThePool) {
  for (size_t n = 1; n <= 9; ++n) {
    OutlierDetector pool = pool_of(n);
    for (int i = 0; i < 50; ++i)
      for (size_t e = 0; e < n; ++e) (void)pool.record(e, false, kMs);
    EXPECT_EQ(pool.ejected_count(kMs), n / 2) << n;
  }
}

TEST(OutlierTest, ASuccessRateFarBelowTheOthers) {
  OutlierDetector pool = pool_of(6, {.consecutive_failures = 0});
  for (size_t e = 0; e < 5; ++e) results(pool, e, 200, 100);  // 99 %
  results(pool, 5, 200, 5);                                   // 80 %
  EXPECT_TRUE(pool.sweep(9'999 * kMs).empty());               // the interval is not over
  const auto out = pool.sweep(10'000 * kMs);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].endpoint, 5U);
  EXPECT_EQ(ejection_cause_name(out[0].cause), "success_rate");
}

TEST(OutlierTest, NoOutlierAmongEqualsOrFew) {
  // All fail alike: nobody stands out.
  OutlierDetector alike = pool_of(6, {.consecutive_failures = 0});
  for (size_t e = 0; e < 6; ++e) results(alike, e, 200, 3);
  EXPECT_TRUE(alike.sweep(10'000 * kMs).empty());
  // Too few endpoints, or too few requests of the bad one.
  OutlierDetector few = pool_of(4, {.consecutive_failures = 0});
  for (size_t e = 0; e < 3; ++e) results(few, e, 200, 0);
  results(few, 3, 200, 2);
  EXPECT_TRUE(few.sweep(10'000 * kMs).empty());
  OutlierDetector quiet = pool_of(7, {.consecutive_failures = 0});
  for (size_t e = 0; e < 6; ++e) results(quiet, e, 200, 0);
  results(quiet, 6, 99, 2);
  EXPECT_TRUE(quiet.sweep(10'000 * kMs).empty());
  // The counts of one interval are not those of the next.
  results(quiet, 6, 99, 2);
  EXPECT_TRUE(quiet.sweep(20'000 * kMs).empty());
}

// Below the mean, as half of any pool is, but within the usual spread.
TEST(OutlierTest, ARateWithinTheSpreadIsNoOutlier) {
  OutlierDetector pool = pool_of(6, {.consecutive_failures = 0});
  for (size_t e = 0; e < 6; ++e) results(pool, e, 200, e % 2 == 0 ? 5 : 10);
  EXPECT_TRUE(pool.sweep(10'000 * kMs).empty());
}

TEST(OutlierTest, CutStreamsCountAgainstTheRate) {
  OutlierDetector pool = pool_of(6, {.consecutive_failures = 0});
  for (size_t e = 0; e < 6; ++e) results(pool, e, 200, 0);
  for (int i = 0; i < 60; ++i) pool.revoke(2);
  const auto out = pool.sweep(10'000 * kMs);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].endpoint, 2U);
}

TEST(OutlierTest, ARemovedNumberStartsAnew) {
  OutlierDetector pool = pool_of(4);
  for (int i = 0; i < 5; ++i) (void)pool.record(2, false, kMs);
  EXPECT_TRUE(pool.ejected(2, kMs));
  pool.remove(2);
  pool.remove(2);
  EXPECT_EQ(pool.ejected_count(kMs), 0U);
  EXPECT_FALSE(pool.record(2, false, kMs));
  EXPECT_EQ(pool.add(), 2U);
  EXPECT_FALSE(pool.ejected(2, kMs));
  EXPECT_EQ(pool.add(), 4U);
}

TEST(OutlierTest, Panic) {
  EXPECT_TRUE(pool_panics(1, 4, 0.5));
  EXPECT_FALSE(pool_panics(2, 4, 0.5));
  EXPECT_TRUE(pool_panics(0, 1, 0.5));
  EXPECT_FALSE(pool_panics(0, 4, 0));
  EXPECT_FALSE(pool_panics(0, 0, 0.5));
}

TEST(OutlierTest, RandomResultsKeepTheBound) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    const size_t n = 1 + rng.below(12);
    const double part = rng.unit();
    OutlierDetector pool =
        pool_of(n, {.min_requests = 10, .min_endpoints = 2, .max_ejected = part});
    int64_t now = 0;
    for (int i = 0; i < 3000; ++i) {
      now += static_cast<int64_t>(rng.below(100)) * kMs;
      const size_t e = rng.below(n);
      (void)pool.record(e, rng.below(n + 1) > e, now);
      for (const Ejection& ejection : pool.sweep(now)) {
        ASSERT_GT(ejection.until_ns, now);
        ASSERT_TRUE(pool.ejected(ejection.endpoint, now));
      }
      ASSERT_LE(pool.ejected_count(now), static_cast<size_t>(part * static_cast<double>(n)));
    }
  }
}

}  // namespace
}  // namespace weir::gateway
