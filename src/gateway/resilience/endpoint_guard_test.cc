// One endpoint: each thing that forbids sending, and what each outcome does.
#include "gateway/resilience/endpoint_guard.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr AttemptOutcome kOk{.status = 200, .sent = true};
constexpr AttemptOutcome kRefused{.end = AttemptEnd::kConnectFailed, .sent = false};
constexpr AttemptOutcome kLeft{.end = AttemptEnd::kCancelled, .sent = true};

AttemptOutcome busy(std::optional<int64_t> retry_after_ms) {
  return {.status = 429, .sent = true, .retry_after_ms = retry_after_ms};
}

EndpointGuardConfig plain() {
  EndpointGuardConfig config;
  config.breaker.open_jitter = 0;
  config.slow_start = {.window_ms = 10'000, .min_weight = 0.1};
  return config;
}

std::string_view verdict(const EndpointGuard& guard, int64_t now) {
  return send_verdict_name(guard.verdict(now));
}

void attempt(EndpointGuard& guard, const AttemptOutcome& outcome, int64_t now) {
  auto permit = guard.on_start(now);
  ASSERT_TRUE(permit.has_value());
  guard.on_outcome(*permit, outcome, now);
}

TEST(EndpointGuardTest, TheBreakerAndItsProbes) {
  EndpointGuardConfig config = plain();
  config.recent_part = 0;
  EndpointGuard guard(config, 1, 0);
  for (int i = 0; i < 5; ++i) attempt(guard, kRefused, 0);
  EXPECT_EQ(verdict(guard, 0), "open");
  EXPECT_EQ(guard.ready_at_ns(0), 1000 * kMs);
  EXPECT_FALSE(guard.on_start(999 * kMs));
  auto a = guard.on_start(1000 * kMs);
  auto b = guard.on_start(1000 * kMs);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(verdict(guard, 1000 * kMs), "probing");
  guard.on_outcome(*a, kLeft, 1000 * kMs);  // the client left: another one may probe
  a = guard.on_start(1000 * kMs);
  ASSERT_TRUE(a);
  // The first byte decides; the streams may go on for minutes.
  guard.on_first_byte(*a, 1010 * kMs);
  guard.on_first_byte(*b, 1010 * kMs);
  auto c = guard.on_start(1010 * kMs);
  ASSERT_TRUE(c);
  guard.on_first_byte(*c, 1020 * kMs);
  EXPECT_EQ(guard.view(1020 * kMs).breaker.state, BreakerState::kClosed);
  EXPECT_EQ(guard.in_flight(), 3);
  EXPECT_DOUBLE_EQ(guard.weight(1020 * kMs), 0.1);
  EXPECT_DOUBLE_EQ(guard.weight(6020 * kMs), 0.5);
  EXPECT_DOUBLE_EQ(guard.weight(11'020 * kMs), 1.0);
}

TEST(EndpointGuardTest, StreamsThatBreakAreFailures) {
  EndpointGuard guard(plain(), 1, 0);
  for (int i = 0; i < 9; ++i) {
    ASSERT_EQ(verdict(guard, 0), "yes") << i;
    auto permit = guard.on_start(0);
    guard.on_first_byte(*permit, 0);
    const bool whole = i == 3;
    const AttemptOutcome cut{.end = AttemptEnd::kCut, .sent = true, .passed_on = true};
    const AttemptOutcome good{.status = 200, .sent = true, .passed_on = true};
    EXPECT_EQ(guard.on_outcome(*permit, whole ? good : cut, 0),
              whole ? EndpointSign::kGood : EndpointSign::kBad);
  }
  EXPECT_EQ(verdict(guard, 0), "open");  // five in a row; the first bytes between do not count
  EXPECT_EQ(guard.view(0).bad, 8U);
}

// Half of the calls go well, which is no rate that opens it, and never five in a row fail.
TEST(EndpointGuardTest, WholeAnswersBetweenBrokenStreamsDoNotHideThem) {
  EndpointGuard guard(plain(), 1, 0);
  for (int i = 0; i < 100; ++i) attempt(guard, kOk, 0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(verdict(guard, 0), "yes") << i;
    auto whole = guard.on_start(0);
    guard.on_first_byte(*whole, 0);
    guard.on_outcome(*whole, kOk, 0);
    auto stream = guard.on_start(0);
    guard.on_first_byte(*stream, 0);
    guard.on_outcome(*stream, {.end = AttemptEnd::kCut, .sent = true, .passed_on = true}, 0);
  }
  EXPECT_EQ(verdict(guard, 0), "open");
}

TEST(EndpointGuardTest, RetryAfterIsHeeded) {
  EndpointGuard guard(plain(), 1, 0);
  attempt(guard, busy(2000), 0);
  EXPECT_EQ(verdict(guard, 1999 * kMs), "pushed_back");
  EXPECT_EQ(guard.ready_at_ns(0), 2000 * kMs);
  EXPECT_EQ(verdict(guard, 2000 * kMs), "yes");
  // A shorter wish does not shorten a longer one, nor is a day waited for.
  std::vector<SendPermit> together;
  for (int i = 0; i < 3; ++i) together.push_back(*guard.on_start(2000 * kMs));
  guard.on_outcome(together[0], busy(5000), 2000 * kMs);
  guard.on_outcome(together[1], busy(100), 2001 * kMs);
  EXPECT_EQ(guard.ready_at_ns(2001 * kMs), 7000 * kMs);
  guard.on_outcome(together[2], busy(86'400'000), 2002 * kMs);
  EXPECT_EQ(guard.ready_at_ns(2002 * kMs), 62'002 * kMs);
  // It is not ill: no breaker, however many.
  EXPECT_EQ(guard.view(0).breaker.state, BreakerState::kClosed);
  EXPECT_EQ(guard.view(0).busy, 4U);
}

TEST(EndpointGuardTest, WithoutRetryAfterThePauseDoubles) {
  EndpointGuard guard(plain(), 1, 0);
  int64_t now = 0;
  for (const int64_t ms : {1000, 2000, 4000, 8000, 16'000, 32'000, 60'000, 60'000}) {
    // Those sent together count once.
    auto a = guard.on_start(now);
    auto b = guard.on_start(now);
    guard.on_outcome(*a, busy({}), now);
    guard.on_outcome(*b, busy({}), now);
    EXPECT_GE(guard.ready_at_ns(now) - now, ms * kMs);
    EXPECT_LE(guard.ready_at_ns(now) - now, std::min<int64_t>(2 * ms, 60'000) * kMs);
    now = guard.ready_at_ns(now);
  }
  attempt(guard, kOk, now);
  attempt(guard, busy({}), now);
  EXPECT_EQ(guard.ready_at_ns(now) - now, 1000 * kMs);
}

TEST(EndpointGuardTest, ChecksEjectionDrainingAndPanic) {
  EndpointGuard guard(plain(), 1, 0);
  guard.on_check_started();
  EXPECT_TRUE(guard.on_check(false, 0));
  EXPECT_EQ(verdict(guard, 0), "unhealthy");
  EXPECT_GT(guard.ready_at_ns(0), 0);
  EXPECT_TRUE(guard.may_send(0, true));
  EXPECT_TRUE(guard.on_start(0, true));
  guard.on_check(true, kMs);
  guard.on_check(true, kMs);
  EXPECT_EQ(verdict(guard, kMs), "yes");
  EXPECT_DOUBLE_EQ(guard.weight(5001 * kMs), 0.5);
  guard.eject(20'000 * kMs);
  EXPECT_EQ(verdict(guard, 19'999 * kMs), "ejected");
  EXPECT_TRUE(guard.may_send(19'999 * kMs, true));
  EXPECT_EQ(verdict(guard, 20'000 * kMs), "yes");
  EXPECT_DOUBLE_EQ(guard.weight(25'000 * kMs), 0.5);
  guard.drain(true);
  EXPECT_EQ(verdict(guard, 20'000 * kMs), "draining");
  EXPECT_FALSE(guard.may_send(20'000 * kMs, true));
  EXPECT_EQ(guard.ready_at_ns(20'000 * kMs), INT64_MAX);
  guard.drain(false);
  EXPECT_EQ(verdict(guard, 20'000 * kMs), "yes");
}

TEST(EndpointGuardTest, AFailedRequestBringsTheNextCheckForward) {
  EndpointGuard guard(plain(), 1, 0);
  guard.on_check(true, 0);
  EXPECT_GT(guard.health().next_check_ns(), 3'000 * kMs);
  attempt(guard, kRefused, 0);
  EXPECT_EQ(guard.health().next_check_ns(), 1'000 * kMs);
}

TEST(EndpointGuardTest, TheLimitIsOfWholeRequests) {
  EndpointGuardConfig config = plain();
  config.limit.max_limit = 2;
  EndpointGuard guard(config, 1, 0);
  auto a = guard.on_start(0);
  auto b = guard.on_start(0);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(b->in_flight, 2);
  EXPECT_EQ(verdict(guard, 0), "full");
  guard.on_first_byte(*a, 0);
  EXPECT_EQ(verdict(guard, 0), "full");
  EXPECT_EQ(guard.on_outcome(*a, kOk, 0), EndpointSign::kGood);
  EXPECT_EQ(verdict(guard, 0), "yes");
  // A second end of the same attempt is none.
  EXPECT_EQ(guard.on_outcome(*a, kRefused, 0), EndpointSign::kNone);
  EXPECT_EQ(guard.in_flight(), 1);
  EXPECT_EQ(guard.view(0).bad, 0U);
}

TEST(EndpointGuardTest, WhatAClientCanBringAboutSaysNothing) {
  EndpointGuard guard(plain(), 1, 0);
  for (int i = 0; i < 100; ++i) {
    attempt(guard, kLeft, 0);
    attempt(guard, {.end = AttemptEnd::kTooLarge, .sent = true}, 0);
    attempt(guard,
            {.end = AttemptEnd::kNoFirstByte, .sent = true, .by_deadline = true, .waited_ms = 1},
            0);
    attempt(guard, {.status = 400, .sent = true}, 0);
  }
  EXPECT_EQ(verdict(guard, 0), "yes");
  EXPECT_EQ(guard.view(0).bad, 0U);
  // But that nothing came for long does, whose deadline it ever was.
  for (int i = 0; i < 5; ++i)
    attempt(
        guard,
        {.end = AttemptEnd::kNoFirstByte, .sent = true, .by_deadline = true, .waited_ms = 10'000},
        0);
  EXPECT_EQ(verdict(guard, 0), "open");
}

TEST(EndpointGuardTest, TheWeightFollowsRecentFailures) {
  EndpointGuardConfig config = plain();
  config.breaker.in_a_row = 0;
  config.breaker.failure_rate = 2;
  config.slow_start.window_ms = 0;
  EndpointGuard guard(config, 1, 0);
  EXPECT_DOUBLE_EQ(guard.weight(0), 1.0);
  for (int i = 0; i < 200; ++i) attempt(guard, i % 2 == 0 ? kOk : kRefused, 0);
  EXPECT_NEAR(guard.weight(0), 0.25, 0.06);
  for (int i = 0; i < 200; ++i) attempt(guard, kRefused, 0);
  EXPECT_DOUBLE_EQ(guard.weight(0), 0.1);
  // Unused it is trusted again: half of the failures are forgotten in 10 s.
  EXPECT_NEAR(guard.weight(10'000 * kMs), 0.25, 1e-6);
  EXPECT_GT(guard.weight(60'000 * kMs), 0.96);
  for (int i = 0; i < 50; ++i) attempt(guard, kOk, 0);
  EXPECT_GT(guard.weight(0), 0.98);
}

TEST(EndpointGuardTest, SlowFirstBytesOpenTheBreaker) {
  EndpointGuardConfig config = plain();
  config.breaker.slow_ms = 100;
  EndpointGuard guard(config, 1, 0);
  for (int i = 0; i < 10; ++i) {
    auto permit = guard.on_start(0);
    ASSERT_TRUE(permit);
    guard.on_first_byte(*permit, 101 * kMs);
    guard.on_outcome(*permit, kOk, 200 * kMs);
  }
  EXPECT_EQ(verdict(guard, 200 * kMs), "open");
}

// Whatever the order of events: counts are those of the attempts under way, and a good endpoint is
// usable again within its longest pause.
TEST(EndpointGuardTest, RandomEventsLeaveNothingBehind) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    EndpointGuardConfig config = plain();
    config.limit = {.adaptive = rng.below(2) == 0, .max_limit = 8, .remeasure_ms = 2000};
    EndpointGuard guard(config, seed, 0);
    std::vector<SendPermit> running;
    int64_t now = 0;
    for (int i = 0; i < 400; ++i) {
      now += static_cast<int64_t>(rng.below(300)) * kMs;
      const bool panic = rng.below(5) == 0;
      const bool may = guard.may_send(now, panic);
      const auto permit = guard.on_start(now, panic);
      ASSERT_EQ(permit.has_value(), may);
      if (permit) running.push_back(*permit);
      if (rng.below(20) == 0) guard.on_check(rng.below(3) != 0, now);
      if (rng.below(50) == 0) guard.eject(now + 1000 * kMs);
      if (running.empty()) continue;
      const size_t which = rng.below(running.size());
      if (rng.below(3) == 0) guard.on_first_byte(running[which], now);
      if (rng.below(3) == 0) continue;
      AttemptOutcome outcome{
          .end = static_cast<AttemptEnd>(rng.below(9)),
          .status = rng.below(2) == 0 ? 200 : 429 + static_cast<int>(rng.below(80)),
          .sent = true};
      if (rng.below(2) == 0) outcome.retry_after_ms = static_cast<int64_t>(rng.below(5000));
      guard.on_outcome(running[which], outcome, now);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
      ASSERT_EQ(guard.in_flight(), static_cast<int32_t>(running.size()));
    }
    for (SendPermit& permit : running) guard.on_outcome(permit, kLeft, now);
    EXPECT_EQ(guard.in_flight(), 0);
    EXPECT_EQ(guard.view(now).breaker.probes, 0) << seed;
    for (int i = 0; i < 2; ++i) guard.on_check(true, now);
    EXPECT_TRUE(guard.may_send(now + 61'000 * kMs)) << seed;
  }
}

}  // namespace
}  // namespace weir::gateway
