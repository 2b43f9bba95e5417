// States, rates, growth, and the places of probes.
#include "gateway/resilience/breaker.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr BreakerConfig kConfig{.min_calls = 10, .in_a_row = 0, .slow_ms = 500, .open_jitter = 0};

void call(Breaker& breaker, CallResult result, int64_t now) {
  const auto permit = breaker.acquire(now);
  ASSERT_TRUE(permit.has_value());
  breaker.settle(*permit, result, now);
}

void calls(Breaker& breaker, int n, CallResult result, int64_t now) {
  for (int i = 0; i < n; ++i) call(breaker, result, now);
}

// Open at `now`.
Breaker opened(const BreakerConfig& config, int64_t now) {
  Breaker breaker(config, 1);
  calls(breaker, 10, CallResult::kFailure, now);
  EXPECT_EQ(breaker.state(now), BreakerState::kOpen);
  return breaker;
}

TEST(BreakerTest, OpensAtTheFailureRateOfEnoughCalls) {
  Breaker breaker(kConfig, 1);
  calls(breaker, 5, CallResult::kSuccess, 0);
  calls(breaker, 4, CallResult::kFailure, 0);
  EXPECT_EQ(breaker.state(0), BreakerState::kClosed);
  call(breaker, CallResult::kFailure, 0);  // 5 of 10
  EXPECT_EQ(breaker.state(0), BreakerState::kOpen);
  EXPECT_FALSE(breaker.acquire(999 * kMs));
  EXPECT_EQ(breaker.state(1000 * kMs), BreakerState::kHalfOpen);
}

TEST(BreakerTest, OpensAfterFailuresInARow) {
  Breaker breaker({.in_a_row = 3}, 1);
  calls(breaker, 1000, CallResult::kSuccess, 0);
  calls(breaker, 2, CallResult::kFailure, 0);
  call(breaker, CallResult::kSuccess, 0);
  calls(breaker, 2, CallResult::kFailure, 0);
  EXPECT_EQ(breaker.state(0), BreakerState::kClosed);
  call(breaker, CallResult::kFailure, 0);
  EXPECT_EQ(breaker.state(0), BreakerState::kOpen);
  // Closed again it counts anew.
  const int64_t now = breaker.open_until_ns();
  calls(breaker, 3, CallResult::kSuccess, now);
  calls(breaker, 2, CallResult::kFailure, now);
  EXPECT_EQ(breaker.state(now), BreakerState::kClosed);
}

TEST(BreakerTest, OldCallsLeaveTheWindow) {
  Breaker breaker(kConfig, 1);
  calls(breaker, 9, CallResult::kFailure, 0);
  call(breaker, CallResult::kFailure, 10'000 * kMs);
  EXPECT_EQ(breaker.state(10'000 * kMs), BreakerState::kClosed);
  EXPECT_EQ(breaker.view(10'000 * kMs).calls, 1);
  // One slot earlier they still count.
  Breaker other(kConfig, 1);
  calls(other, 9, CallResult::kFailure, 0);
  call(other, CallResult::kFailure, 9'999 * kMs);
  EXPECT_EQ(other.state(9'999 * kMs), BreakerState::kOpen);
}

TEST(BreakerTest, OpensWhenCallsAreSlow) {
  Breaker breaker(kConfig, 1);
  call(breaker, CallResult::kSuccess, 0);
  calls(breaker, 8, CallResult::kSlow, 0);
  EXPECT_EQ(breaker.state(0), BreakerState::kClosed);
  call(breaker, CallResult::kSlow, 0);  // 9 of 10
  EXPECT_EQ(breaker.state(0), BreakerState::kOpen);
}

TEST(BreakerTest, ProbesAreBoundedAndCloseIt) {
  Breaker breaker = opened(kConfig, 0);
  const int64_t now = 1000 * kMs;
  const auto a = breaker.acquire(now);
  const auto b = breaker.acquire(now);
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(breaker.acquire(now));
  breaker.settle(*a, CallResult::kSuccess, now);
  breaker.settle(*b, CallResult::kSuccess, now);
  // One success is missing: one probe, not two.
  const auto c = breaker.acquire(now);
  ASSERT_TRUE(c);
  EXPECT_FALSE(breaker.permits(now));
  breaker.settle(*c, CallResult::kSuccess, now);
  EXPECT_EQ(breaker.state(now), BreakerState::kClosed);
  EXPECT_EQ(breaker.closed_at_ns(), now);
  // The failures of before are forgotten.
  calls(breaker, 9, CallResult::kFailure, now);
  EXPECT_EQ(breaker.state(now), BreakerState::kClosed);
}

TEST(BreakerTest, ACancelledProbeGivesItsPlaceBack) {
  Breaker breaker = opened(kConfig, 0);
  const int64_t now = 1000 * kMs;
  for (int i = 0; i < 100; ++i) {
    const auto permit = breaker.acquire(now);
    ASSERT_TRUE(permit) << i;
    breaker.cancel(*permit);
  }
  EXPECT_EQ(breaker.view(now).probes, 0);
}

TEST(BreakerTest, AFailedProbeOpensItForLonger) {
  const BreakerConfig config{
      .in_a_row = 0, .open_ms = 1000, .open_growth = 2, .open_max_ms = 5000, .open_jitter = 0};
  Breaker breaker = opened(config, 0);
  int64_t now = 1000 * kMs;
  for (const int64_t ms : {2000, 4000, 5000, 5000}) {
    call(breaker, CallResult::kFailure, now);
    EXPECT_EQ(breaker.open_until_ns() - now, ms * kMs);
    now = breaker.open_until_ns();
  }
  // A slow probe is no better.
  call(breaker, CallResult::kSlow, now);
  EXPECT_EQ(breaker.state(now), BreakerState::kOpen);
  // Closed and soon open again: the growth goes on. After a long time closed it begins anew.
  now = breaker.open_until_ns();
  calls(breaker, 3, CallResult::kSuccess, now);
  calls(breaker, 10, CallResult::kFailure, now);
  EXPECT_EQ(breaker.open_until_ns() - now, 5000 * kMs);
  now = breaker.open_until_ns();
  calls(breaker, 3, CallResult::kSuccess, now);
  now += 10'001 * kMs;
  calls(breaker, 10, CallResult::kFailure, now);
  EXPECT_EQ(breaker.open_until_ns() - now, 1000 * kMs);
}

TEST(BreakerTest, TheJitterStaysWithinItsPartAndDiffersBySeed) {
  BreakerConfig config = kConfig;
  config.open_jitter = 0.2;
  std::vector<int64_t> times;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Breaker breaker(config, seed);
    calls(breaker, 10, CallResult::kFailure, 0);
    EXPECT_GE(breaker.open_until_ns(), 1000 * kMs);
    EXPECT_LT(breaker.open_until_ns(), 1200 * kMs);
    times.push_back(breaker.open_until_ns());
  }
  EXPECT_NE(times[0], times[1]);
}

TEST(BreakerTest, ResultsOfAnotherTimeDoNotCount) {
  Breaker breaker(kConfig, 1);
  const auto old = breaker.acquire(0);
  ASSERT_TRUE(old);
  calls(breaker, 10, CallResult::kFailure, 0);
  const int64_t now = 1000 * kMs;
  const auto probe = breaker.acquire(now);
  ASSERT_TRUE(probe);
  breaker.settle(*old, CallResult::kFailure, now);
  breaker.cancel(*old);
  EXPECT_EQ(breaker.state(now), BreakerState::kHalfOpen);
  EXPECT_EQ(breaker.view(now).probes, 1);
}

// A stream whose first byte came and that then broke is one failed call.
TEST(BreakerTest, ARevokedSuccessIsAFailure) {
  Breaker breaker(kConfig, 1);
  std::vector<BreakerPermit> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(*breaker.acquire(0));
    breaker.settle(streams.back(), CallResult::kSuccess, 0);
  }
  for (int i = 0; i < 9; ++i) breaker.revoke(streams[static_cast<size_t>(i)], kMs);
  EXPECT_EQ(breaker.view(kMs).calls, 20);
  EXPECT_EQ(breaker.view(kMs).failures, 9);
  breaker.revoke(streams[9], kMs);
  EXPECT_EQ(breaker.state(kMs), BreakerState::kOpen);
  // While it is open the others add nothing; as a probe it opens it again.
  const int64_t until = breaker.open_until_ns();
  breaker.revoke(streams[10], 2 * kMs);
  EXPECT_EQ(breaker.open_until_ns(), until);
  const auto probe = breaker.acquire(until);
  ASSERT_TRUE(probe);
  breaker.settle(*probe, CallResult::kSuccess, until);
  breaker.revoke(*probe, until);
  EXPECT_EQ(breaker.state(until), BreakerState::kOpen);
}

TEST(BreakerTest, CutStreamsInARow) {
  BreakerConfig config = kConfig;
  config.in_a_row = 3;
  Breaker breaker(config, 1);
  int64_t now = 0;
  const auto cut = [&] {
    const auto stream = breaker.acquire(now);
    ASSERT_TRUE(stream);
    breaker.settle(*stream, CallResult::kSuccess, now);
    breaker.revoke(*stream, now);
  };
  for (int i = 0; i < 100; ++i, now += 60'000 * kMs) {  // two of three are cut
    cut();
    cut();
    call(breaker, CallResult::kSuccess, now);
    breaker.complete();
  }
  cut();
  cut();
  call(breaker, CallResult::kSuccess, now);  // a first byte is no end
  EXPECT_EQ(breaker.state(now), BreakerState::kClosed);
  cut();
  EXPECT_EQ(breaker.state(now), BreakerState::kOpen);
}

// Whatever happens: the sums are those of the slots, never more probes than allowed, and it is not
// stuck half open once all calls have ended.
TEST(BreakerTest, RandomCallsKeepTheBounds) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const BreakerConfig config{.min_calls = static_cast<int64_t>(1 + rng.below(10)),
                               .probes = static_cast<int32_t>(1 + rng.below(3)),
                               .probe_successes = static_cast<int32_t>(1 + rng.below(4))};
    Breaker breaker(config, seed);
    std::vector<BreakerPermit> running;
    int64_t now = 0;
    for (int i = 0; i < 500; ++i) {
      now += static_cast<int64_t>(rng.below(500)) * kMs;
      if (const auto permit = breaker.acquire(now)) running.push_back(*permit);
      if (!running.empty() && rng.below(3) != 0) {
        const size_t which = rng.below(running.size());
        const BreakerPermit permit = running[which];
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
        const auto result = static_cast<CallResult>(rng.below(3));
        if (rng.below(4) == 0) {
          breaker.cancel(permit);
        } else {
          breaker.settle(permit, result, now);
          if (result == CallResult::kSuccess && rng.below(4) == 0) breaker.revoke(permit, now);
        }
      }
      const BreakerView view = breaker.view(now);
      ASSERT_GE(view.probes, 0);
      ASSERT_LE(view.probes, config.probes);
      ASSERT_GE(view.failures, 0);
      ASSERT_GE(view.slow, 0);
      ASSERT_LE(view.failures + view.slow, view.calls);
    }
    for (const BreakerPermit& permit : running) breaker.cancel(permit);
    EXPECT_EQ(breaker.view(now).probes, 0) << seed;
    EXPECT_TRUE(breaker.permits(now + 60'000 * kMs)) << seed;
  }
}

}  // namespace
}  // namespace weir::gateway
