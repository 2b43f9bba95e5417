// Windows of a minute, and meters of tenants.
#include "access/tenant_limits.h"

#include <gtest/gtest.h>

#include <deque>

#include "access/rate_window.h"
#include "base/rng.h"

namespace weir::access {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// In no window of 60 s, wherever it begins, more than the limit; what fits by wait_ns does fit
// then.
TEST(RateWindowTest, NeverMoreThanTheLimitInAnyMinute) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RateWindow window;
    window.set_limit(100);
    int64_t now = 0;
    std::deque<std::pair<int64_t, int64_t>> taken;  // time, amount
    for (uint64_t i = 0; i < 400; ++i) {
      now += static_cast<int64_t>(random_u64(seed, 1, i) % (4 * kSecond));
      const auto amount = static_cast<int64_t>(random_u64(seed, 2, i) % 60);
      const int64_t wait = window.wait_ns(amount, now);
      ASSERT_NE(wait, RateWindow::kNever);
      ASSERT_LE(wait, 60 * kSecond);
      if (wait != 0) {
        if (random_u64(seed, 3, i) % 2 != 0) continue;
        now += wait;  // as a client that heeds Retry-After
        ASSERT_EQ(window.wait_ns(amount, now), 0) << "seed " << seed << " step " << i;
      }
      window.take(amount, now);
      taken.emplace_back(now, amount);
      int64_t sum = 0;
      for (const auto& [at, a] : taken) sum += at > now - 60 * kSecond ? a : 0;
      ASSERT_LE(sum, 100) << "seed " << seed << " step " << i;
    }
  }
}

// Not 61 s, as the second that it was taken in would have it.
TEST(RateWindowTest, NobodyWaitsForLongerThanAMinute) {
  RateWindow window;
  window.set_limit(2);
  const int64_t first = 7 * kSecond + 100'000'000, second = 7 * kSecond + 900'000'000;
  (void)window.take(1, first);
  EXPECT_EQ(window.wait_ns(2, first), 60 * kSecond);
  (void)window.take(1, second);
  EXPECT_EQ(window.wait_ns(1, second), 60 * kSecond);
  EXPECT_EQ(window.reset_ns(second), 60 * kSecond);
  EXPECT_EQ(window.wait_ns(1, second + 60 * kSecond - 1), 1);
  EXPECT_EQ(window.wait_ns(2, second + 60 * kSecond), 0);
}

TEST(RateWindowTest, WhatIsGivenBackCanBeTaken) {
  RateWindow window;
  window.set_limit(10);
  const int64_t slot = window.take(10, 5 * kSecond);
  EXPECT_EQ(window.remaining(6 * kSecond), 0);
  EXPECT_EQ(window.wait_ns(1, 6 * kSecond), (5 + 60 - 6) * kSecond);
  window.give_back(slot, 4, 6 * kSecond);
  EXPECT_EQ(window.remaining(6 * kSecond), 4);
  EXPECT_EQ(window.wait_ns(4, 6 * kSecond), 0);
  EXPECT_EQ(window.reset_ns(6 * kSecond), 59 * kSecond);
  // What has left the window by itself is not given back twice.
  window.give_back(slot, 6, 100 * kSecond);
  EXPECT_EQ(window.remaining(100 * kSecond), 10);
}

TEST(RateWindowTest, WhatNeverFitsSaysSo) {
  RateWindow window;
  EXPECT_EQ(window.wait_ns(1'000'000, 0), 0);  // no limit
  window.set_limit(10);
  EXPECT_EQ(window.wait_ns(11, 0), RateWindow::kNever);
}

TEST(TenantMeterTest, ReservationsReturnAsTheRequestsEnd) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    TenantMeter meter;
    TenantSpec spec;
    spec.tokens_per_min = 1000;
    meter.set_spec(spec);
    int64_t used = 0;
    std::vector<TenantMeter::Reservation> open;
    for (uint64_t i = 0; i < 100; ++i) {  // within one second: nothing leaves the window
      auto r = meter.reserve(static_cast<int64_t>(random_u64(seed, 1, i) % 50), 100, kSecond);
      if (r.ok()) open.push_back(*r);
      if (open.empty() || random_u64(seed, 2, i) % 2 == 0) continue;
      const auto spent = static_cast<int64_t>(random_u64(seed, 3, i)) & 31;
      const int64_t part = std::min(spent, open.back().tokens);
      meter.reconcile(open.back(), part, kSecond);
      used += part;
      open.pop_back();
    }
    int64_t reserved = 0;
    for (const auto& r : open) reserved += r.tokens;
    EXPECT_EQ(meter.tokens(kSecond).remaining, 1000 - used - reserved);
  }
}

// What is refused takes nothing from what is served, until it is more than that.
TEST(TenantMeterTest, RefusedOnesHaveALimitOfTheirOwn) {
  TenantMeter meter;
  TenantSpec spec;
  spec.requests_per_min = 2;
  meter.set_spec(spec);
  for (const int64_t left : {2, 2, 1, 0}) {
    ASSERT_TRUE(meter.begin(kSecond).ok());
    meter.refuse(kSecond, kSecond);
    meter.end();
    EXPECT_EQ(meter.requests(kSecond).remaining, left);
  }
  EXPECT_EQ(meter.begin(kSecond).error().code, ErrorCode::kRateLimitExceeded);
  EXPECT_TRUE(meter.begin(61 * kSecond).ok());
}

TEST(TenantMeterTest, NamesTheLimitAndWhenToRetry) {
  TenantMeter meter;
  TenantSpec spec;
  spec.requests_per_min = 2;
  spec.concurrent = 2;
  spec.tokens_per_min = 100;
  meter.set_spec(spec);
  ASSERT_TRUE(meter.begin(kSecond).ok());
  ASSERT_TRUE(meter.begin(kSecond).ok());
  Status third = meter.begin(kSecond);
  EXPECT_NE(third.error().message.find("concurrent"), std::string::npos);
  meter.end();
  third = meter.begin(2 * kSecond);
  EXPECT_EQ(third.error().code, ErrorCode::kRateLimitExceeded);
  EXPECT_NE(third.error().message.find("requests_per_min"), std::string::npos);
  EXPECT_DOUBLE_EQ(third.error().retry_after_s, 59);
  meter.forget(kSecond, 2 * kSecond);
  EXPECT_TRUE(meter.begin(2 * kSecond).ok());

  ASSERT_TRUE(meter.reserve(30, 50, kSecond).ok());
  EXPECT_EQ(meter.reserve(10, 11, 2 * kSecond).error().code, ErrorCode::kRateLimitExceeded);
  // No retry would help: not 429.
  EXPECT_EQ(meter.reserve(10, 91, kSecond).error().code, ErrorCode::kMaxOutputTokensExceeded);
  EXPECT_EQ(meter.reserve(100, 1, kSecond).error().code, ErrorCode::kMaxInputTokensExceeded);
}

}  // namespace
}  // namespace weir::access
