// What a budget lets pass, in numbers.
#include "gateway/resilience/retry_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(RetryBudgetTest, ADeadUpstreamSeesATenthMore) {
  RetryBudget budget;
  int64_t retries = 0;
  constexpr int64_t kRequests = 60'000;  // 1,000 a second
  for (int64_t i = 0; i < kRequests; ++i) {
    const int64_t now = i * kSecond / 1000;
    budget.on_request(now);
    for (int k = 0; k < 3; ++k) retries += budget.withdraw(now) ? 1 : 0;
  }
  EXPECT_EQ(retries, kRequests / 10);
  EXPECT_EQ(budget.view(60 * kSecond).retries, 6000U);
  EXPECT_EQ(budget.view(60 * kSecond).refused, 3U * kRequests - 6000U);
}

TEST(RetryBudgetTest, AServiceWithFewRequestsRetriesOnceASecond) {
  RetryBudget budget;
  int64_t retries = 0;
  for (int64_t s = 0; s < 60; ++s) {
    budget.on_request(s * kSecond);
    for (int k = 0; k < 3; ++k) retries += budget.withdraw(s * kSecond + k) ? 1 : 0;
  }
  EXPECT_EQ(retries, 60);
  // After a pause it may do so at once for as many seconds as the window is long, not for more.
  retries = 0;
  for (int k = 0; k < 100; ++k) retries += budget.withdraw(1000 * kSecond) ? 1 : 0;
  EXPECT_EQ(retries, RetryBudget::kWindowS);
}

TEST(RetryBudgetTest, WithoutAFloorNothingIsFree) {
  RetryBudget budget({.ratio = 0.02, .min_per_s = 0});
  EXPECT_FALSE(budget.withdraw(0));
  for (int i = 0; i < 49; ++i) budget.on_request(kSecond);
  EXPECT_FALSE(budget.withdraw(kSecond));
  budget.on_request(kSecond);
  EXPECT_TRUE(budget.available(kSecond));
  EXPECT_TRUE(budget.withdraw(kSecond));
  EXPECT_FALSE(budget.withdraw(kSecond));
}

TEST(RetryBudgetTest, ABurstMayUseWhatTheWindowPaidAndOldTokensExpire) {
  RetryBudget budget({.ratio = 0.1, .min_per_s = 0});
  for (int i = 0; i < 5000; ++i) budget.on_request(i * kSecond / 1000);
  EXPECT_DOUBLE_EQ(budget.view(5 * kSecond).available, 500);
  // Tokens of seconds 0 and 1 are void in second 11.
  EXPECT_DOUBLE_EQ(budget.view(11 * kSecond).available, 300);
  EXPECT_DOUBLE_EQ(budget.view(100 * kSecond).available, 0);
}

TEST(RetryBudgetTest, WhatIsGivenBackCanBeTakenOnce) {
  RetryBudget budget({.ratio = 0.5, .min_per_s = 0});
  for (int i = 0; i < 4; ++i) budget.on_request(i * kSecond);
  EXPECT_TRUE(budget.withdraw(4 * kSecond));
  EXPECT_TRUE(budget.withdraw(4 * kSecond));
  EXPECT_FALSE(budget.withdraw(4 * kSecond));
  budget.give_back(4 * kSecond);
  EXPECT_TRUE(budget.withdraw(4 * kSecond));
  EXPECT_FALSE(budget.withdraw(4 * kSecond));
  // Of a void slot nothing comes back.
  budget.give_back(100 * kSecond);
  EXPECT_FALSE(budget.withdraw(100 * kSecond));
}

// The promise of the header, over random times, also with time that steps back.
TEST(RetryBudgetTest, NoSpanHoldsMoreRetriesThanItsSlotsPaid) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    const double ratio = rng.unit() * 0.3;
    const double floor = static_cast<double>(rng.below(3));
    RetryBudget budget({.ratio = ratio, .min_per_s = floor});
    std::vector<double> paid(200, 0);
    std::vector<int64_t> made(200, 0);
    int64_t now = 0;
    int64_t latest = 0;
    while (latest < 190 * kSecond) {
      now += static_cast<int64_t>(rng.below(static_cast<uint64_t>(kSecond / 4)));
      if (rng.below(50) == 0) now += static_cast<int64_t>(rng.below(15)) * kSecond;
      if (rng.below(20) == 0) now = std::max<int64_t>(0, now - kSecond / 2);
      latest = std::min(std::max(latest, now), 199 * kSecond);
      const auto second = static_cast<size_t>(latest / kSecond);
      for (uint64_t i = rng.below(20); i > 0; --i) {
        budget.on_request(std::min(now, latest));
        paid[second] += ratio;
      }
      for (uint64_t i = rng.below(4); i > 0; --i)
        made[second] += budget.withdraw(std::min(now, latest)) ? 1 : 0;
    }
    for (size_t a = 0; a < 200; ++a) {
      double worth = 0;
      int64_t retries = 0;
      for (size_t s = a >= 9 ? a - 9 : 0; s < a; ++s) worth += std::max(paid[s], floor);
      for (size_t b = a; b < 200; ++b) {
        worth += std::max(paid[b], floor);
        retries += made[b];
        ASSERT_LE(static_cast<double>(retries), worth + 1e-3) << "seed " << seed << " " << a;
      }
    }
  }
}

}  // namespace
}  // namespace weir::gateway
