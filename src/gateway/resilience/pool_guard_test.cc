// What only a pool knows: outliers, panic, budget, membership, when to come again.
#include "gateway/resilience/pool_guard.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr AttemptOutcome kOk{.status = 200, .sent = true};
constexpr AttemptOutcome kRefused{.end = AttemptEnd::kConnectFailed, .sent = false};

PoolGuardConfig plain() {
  PoolGuardConfig config;
  config.endpoint.breaker.open_jitter = 0;
  return config;
}

void attempt(PoolGuard& pool, size_t endpoint, const AttemptOutcome& outcome, int64_t now) {
  auto permit = pool.start(endpoint, now);
  ASSERT_TRUE(permit.has_value());
  pool.finish(*permit, outcome, now);
}

TEST(PoolGuardTest, FailuresInARowEject) {
  PoolGuardConfig config = plain();
  config.endpoint.breaker.in_a_row = 0;
  PoolGuard pool(config, 1);
  for (int i = 0; i < 4; ++i) pool.add(0);
  for (int i = 0; i < 5; ++i) attempt(pool, 2, kRefused, kMs);
  EXPECT_EQ(send_verdict_name(pool.verdict(2, kMs)), "ejected");
  EXPECT_TRUE(pool.may_send(1, kMs));
  EXPECT_TRUE(pool.may_send(2, 10'001 * kMs));
  EXPECT_EQ(pool.outliers().ejections(), 1U);
}

TEST(PoolGuardTest, ASuccessRateFarBelowTheOthersEjects) {
  PoolGuardConfig config = plain();
  config.endpoint.breaker.in_a_row = 0;
  PoolGuard pool(config, 1);
  for (int i = 0; i < 6; ++i) pool.add(0);
  for (int i = 0; i < 1200; ++i) {
    const auto e = static_cast<size_t>(i % 6);
    const int64_t now = i * 8 * kMs;
    // Half of the streams of endpoint 3 are cut.
    auto permit = pool.start(e, now);
    ASSERT_TRUE(permit);
    pool.first_byte(*permit, now);
    const bool cut = e == 3 && i % 12 == 3 && i % 36 != 3;
    pool.finish(*permit, cut ? AttemptOutcome{.end = AttemptEnd::kCut, .sent = true} : kOk, now);
  }
  EXPECT_TRUE(pool.may_send(3, 9'999 * kMs));
  attempt(pool, 0, kOk, 10'000 * kMs);
  EXPECT_EQ(send_verdict_name(pool.verdict(3, 10'000 * kMs)), "ejected");
}

TEST(PoolGuardTest, PanicIgnoresHealthButNotBreakers) {
  PoolGuard pool(plain(), 1);
  for (int i = 0; i < 4; ++i) pool.add(0);
  for (size_t e = 0; e < 2; ++e) pool.endpoint(e).on_check(false, 0);
  EXPECT_FALSE(pool.panic(0));
  EXPECT_FALSE(pool.may_send(0, 0));
  pool.endpoint(2).on_check(false, kMs);
  EXPECT_TRUE(pool.panic(11 * kMs));
  EXPECT_TRUE(pool.may_send(0, 11 * kMs));
  for (int i = 0; i < 5; ++i) attempt(pool, 0, kRefused, 11 * kMs);
  EXPECT_EQ(send_verdict_name(pool.verdict(0, 11 * kMs)), "open");
  // One that drains does not count.
  pool.endpoint(0).drain(true);
  pool.endpoint(1).drain(true);
  EXPECT_FALSE(pool.panic(30 * kMs));
}

TEST(PoolGuardTest, EndpointsComeAndGo) {
  PoolGuard pool(plain(), 1);
  EXPECT_EQ(pool.add(0), 0U);
  EXPECT_EQ(pool.add(0), 1U);
  auto permit = pool.start(0, 0);
  ASSERT_TRUE(permit);
  for (int i = 0; i < 5; ++i) attempt(pool, 0, kRefused, 0);
  pool.remove(0);
  pool.remove(0);
  EXPECT_EQ(pool.size(), 1U);
  EXPECT_FALSE(pool.may_send(0, 0));
  EXPECT_FALSE(pool.start(0, 0));
  EXPECT_EQ(pool.add(0), 0U);
  EXPECT_TRUE(pool.may_send(0, 0));  // another endpoint: nothing is held against it
  // The attempt at the old one ends without effect on the new one.
  pool.first_byte(*permit, 0);
  EXPECT_EQ(pool.finish(*permit, kRefused, 0), EndpointSign::kNone);
  EXPECT_EQ(pool.endpoint(0).view(0).bad, 0U);
  EXPECT_EQ(pool.endpoint(0).in_flight(), 0);
  EXPECT_FALSE(pool.has(7));
}

TEST(PoolGuardTest, WhenToComeAgain) {
  PoolGuard pool(plain(), 1);
  EXPECT_EQ(pool.ready_in_ms(0), 60'000);  // nobody there
  pool.add(0);
  pool.add(0);
  EXPECT_EQ(pool.ready_in_ms(0), 0);
  attempt(pool, 0, {.status = 429, .sent = true, .retry_after_ms = 5000}, 0);
  attempt(pool, 1, {.status = 429, .sent = true, .retry_after_ms = 3000}, 0);
  EXPECT_EQ(pool.ready_in_ms(0), 3000);
  EXPECT_EQ(pool.ready_in_ms(2999 * kMs + 1), 1);
  EXPECT_EQ(pool.ready_in_ms(3000 * kMs), 0);
}

TEST(PoolGuardTest, RetriesArePaidByThePoolsRequests) {
  PoolGuardConfig config = plain();
  config.budget = {.ratio = 0.5, .min_per_s = 0};
  PoolGuard pool(config, 1);
  pool.add(0);
  const RetryCase request{.generation = true};
  EXPECT_EQ(pool.retry(request, kRefused).reason, RetryReason::kBudget);
  pool.on_request(0);
  pool.on_request(0);
  EXPECT_EQ(pool.retry(request, kRefused).action, RetryAction::kRetry);
  EXPECT_EQ(pool.retry(request, kRefused).reason, RetryReason::kBudget);
  EXPECT_EQ(pool.budget().view(0).retries, 1U);
}

TEST(PoolGuardTest, Utilization) {
  PoolGuardConfig config = plain();
  config.endpoint.limit.max_limit = 4;
  config.panic_threshold = 0;
  PoolGuard pool(config, 1);
  EXPECT_DOUBLE_EQ(pool.utilization(0), 1.0);
  pool.add(0);
  pool.add(0);
  EXPECT_DOUBLE_EQ(pool.utilization(0), 0.0);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool.start(0, 0));
  EXPECT_DOUBLE_EQ(pool.utilization(0), 0.25);
  pool.endpoint(1).on_check(false, 0);
  EXPECT_DOUBLE_EQ(pool.utilization(0), 0.5);
  pool.endpoint(0).drain(true);
  EXPECT_DOUBLE_EQ(pool.utilization(0), 1.0);
}

}  // namespace
}  // namespace weir::gateway
