// Who gets a place, who waits, who is refused, and what he is told.
#include "gateway/resilience/shed.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr ShedConfig kSmall{.max_in_flight = 10, .max_queued = 10, .part = {1.0, 1.0, 0.8, 0.5}};

std::string offer(LoadShedder& shed, uint64_t id, size_t priority, int64_t now = 0,
                  int64_t wait_ms = 0) {
  const auto d = shed.offer(id, priority, wait_ms, now);
  switch (d.verdict) {
    case ShedVerdict::kAdmit:
      return "admit";
    case ShedVerdict::kQueue:
      return d.displaced ? "queue for " + std::to_string(*d.displaced) : "queue";
    case ShedVerdict::kShed:
      break;
  }
  EXPECT_GE(d.retry_after_ms, 1000);
  return std::string(shed_reason_name(d.reason));
}

TEST(LoadShedderTest, LessImportantOnesStopEarlier) {
  LoadShedder shed(kSmall);
  for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(offer(shed, i, 3), "admit");
  EXPECT_EQ(offer(shed, 5, 3), "queue");
  for (uint64_t i = 6; i < 9; ++i) EXPECT_EQ(offer(shed, i, 2), "admit");
  EXPECT_EQ(offer(shed, 9, 2), "queue");
  for (uint64_t i = 10; i < 12; ++i) EXPECT_EQ(offer(shed, i, 0), "admit");
  EXPECT_EQ(offer(shed, 12, 0), "queue");
  EXPECT_EQ(offer(shed, 13, 99), "queue");  // counts as the last priority
  EXPECT_EQ(shed.in_flight(), 10);
  EXPECT_EQ(shed.queued(), 4);
  // The important one first; the others only when their own part has room.
  shed.finish(0);
  EXPECT_EQ(shed.next(0), 12U);
  for (int i = 0; i < 2; ++i) {
    shed.finish(0);
    EXPECT_EQ(shed.next(0), std::nullopt);
  }
  shed.finish(0);
  EXPECT_EQ(shed.next(0), 9U);
  for (int i = 0; i < 3; ++i) {
    shed.finish(0);
    EXPECT_EQ(shed.next(0), std::nullopt);
  }
  shed.finish(0);
  EXPECT_EQ(shed.next(0), 5U);
  EXPECT_EQ(shed.next(0), std::nullopt);
}

TEST(LoadShedderTest, AFullQueueRefusesOrDisplaces) {
  LoadShedder shed(kSmall);
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(offer(shed, i, 0), "admit");
  for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(offer(shed, 100 + i, 3), "queue");
  EXPECT_EQ(offer(shed, 105, 3), "queue_full");  // half of it
  for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(offer(shed, 200 + i, 1), "queue");
  EXPECT_EQ(offer(shed, 300, 0), "queue for 104");
  EXPECT_EQ(offer(shed, 301, 0), "queue for 103");
  EXPECT_EQ(offer(shed, 302, 3), "queue_full");
  EXPECT_EQ(shed.queued(), 10);
  EXPECT_TRUE(shed.withdraw(100));
  EXPECT_FALSE(shed.withdraw(100));
  EXPECT_FALSE(shed.withdraw(104));
  EXPECT_EQ(shed.queued(), 9);
  shed.finish(0);
  EXPECT_EQ(shed.next(0), 300U);
}

// A part of it rounds up: the least important wait where nobody else does, and give way.
TEST(LoadShedderTest, TheSmallestBoundsAreForEveryPriority) {
  for (size_t p = 0; p < kPriorities; ++p) {
    LoadShedder shed({.max_in_flight = 1, .max_queued = 1});
    EXPECT_EQ(offer(shed, 1, p), "admit") << p;
    EXPECT_EQ(offer(shed, 2, p), "queue") << p;
    EXPECT_EQ(offer(shed, 3, p), "queue_full") << p;
    EXPECT_EQ(offer(shed, 4, 0), p == 0 ? "queue_full" : "queue for 2") << p;
    EXPECT_EQ(offer(shed, 5, 3), "queue_full") << p;
    shed.finish(0);
    EXPECT_EQ(shed.next(0), p == 0 ? 2U : 4U) << p;
  }
  LoadShedder none({.max_in_flight = 1, .max_queued = 1, .part = {1.0, 1.0, 1.0, 0.0}});
  EXPECT_EQ(offer(none, 1, 3), "admit");  // or nobody would ever answer it
  EXPECT_EQ(offer(none, 2, 3), "queue_full");
}

// Of ten places the least important may use one: who may use all of them is told less.
TEST(LoadShedderTest, ADisplacedOneIsToldTheTimeOfItsOwnPriority) {
  LoadShedder shed({.max_in_flight = 10, .max_queued = 1, .part = {1.0, 1.0, 0.8, 0.1}});
  for (int64_t s = 1; s <= 60; ++s) shed.finish(s * 1000 * kMs);  // one a second
  const int64_t now = 60'000 * kMs;
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(offer(shed, i, 0, now), "admit");
  EXPECT_EQ(offer(shed, 10, 1, now), "queue");
  const auto d = shed.offer(11, 0, 0, now);
  EXPECT_EQ(d.displaced, 10U);
  EXPECT_LE(d.retry_after_ms, 1100);
}

TEST(LoadShedderTest, NewcomersDoNotOvertake) {
  LoadShedder shed(kSmall);
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(offer(shed, i, 0), "admit");
  EXPECT_EQ(offer(shed, 10, 0), "queue");
  shed.finish(0);
  EXPECT_EQ(offer(shed, 11, 0), "queue");
  EXPECT_EQ(shed.next(0), 10U);
}

TEST(LoadShedderTest, WaitingEnds) {
  LoadShedder shed(kSmall);
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(offer(shed, i, 0), "admit");
  EXPECT_EQ(offer(shed, 10, 0), "queue");             // 10 s
  EXPECT_EQ(offer(shed, 11, 0, 0, 500), "queue");     // its own time is shorter
  EXPECT_EQ(offer(shed, 12, 0, 0, 90'000), "queue");  // 10 s at most
  EXPECT_TRUE(shed.expire(499 * kMs).empty());
  shed.finish(500 * kMs);
  EXPECT_EQ(shed.next(500 * kMs), 10U);
  shed.finish(500 * kMs);
  EXPECT_EQ(shed.next(500 * kMs), 12U);
  const auto out = shed.expire(500 * kMs);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].request, 11U);
  EXPECT_EQ(shed_reason_name(out[0].reason), "waited");
  EXPECT_EQ(shed.queued(), 0);
}

// 100 requests end per second: who has 500 ahead is told 5 s, and who has less time is told at
// once.
TEST(LoadShedderTest, RetryAfterIsThePaceOfTheQueue) {
  LoadShedder shed({.max_in_flight = 100, .max_queued = 500, .max_wait_ms = 20'000});
  int64_t now = 0;
  uint64_t id = 0;
  for (int i = 0; i < 6000; ++i, now += 10 * kMs) {
    if (i >= 100) shed.finish(now);
    EXPECT_EQ(offer(shed, id++, 0, now), "admit");
  }
  EXPECT_NEAR(shed.rate_per_s(now), 100, 2);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(offer(shed, id++, 0, now), "queue");
  const auto full = shed.offer(id++, 0, 0, now);
  EXPECT_EQ(full.verdict, ShedVerdict::kShed);
  EXPECT_NEAR(static_cast<double>(full.retry_after_ms), 5010, 150);
  EXPECT_EQ(offer(shed, id++, 0, now, 4000), "too_long");
  // Nothing ends any more: the time grows, to its bound.
  EXPECT_EQ(shed.retry_after_ms(0, now + 100'000 * kMs), 60'000);
}

TEST(LoadShedderTest, RandomTrafficKeepsTheBounds) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    const ShedConfig config{.max_in_flight = static_cast<int32_t>(1 + rng.below(20)),
                            .max_queued = static_cast<int32_t>(rng.below(20)),
                            .max_wait_ms = 2000};
    LoadShedder shed(config);
    std::set<uint64_t> waiting;
    int64_t now = 0;
    int32_t running = 0;
    for (uint64_t id = 0; id < 1000; ++id) {
      now += static_cast<int64_t>(rng.below(100)) * kMs;
      const auto d = shed.offer(id, rng.below(4), static_cast<int64_t>(rng.below(3000)), now);
      if (d.verdict == ShedVerdict::kAdmit) ++running;
      if (d.verdict == ShedVerdict::kQueue) waiting.insert(id);
      if (d.displaced) {
        ASSERT_EQ(waiting.erase(*d.displaced), 1U);
      }
      if (running > 0 && rng.below(2) == 0) {
        shed.finish(now);
        --running;
      }
      while (const auto next = shed.next(now)) {
        ASSERT_EQ(waiting.erase(*next), 1U);
        ++running;
      }
      for (const auto& refusal : shed.expire(now)) ASSERT_EQ(waiting.erase(refusal.request), 1U);
      ASSERT_EQ(shed.in_flight(), running);
      ASSERT_EQ(shed.queued(), static_cast<int32_t>(waiting.size()));
      ASSERT_LE(running, config.max_in_flight);
      ASSERT_LE(shed.queued(), config.max_queued);
    }
  }
}

}  // namespace
}  // namespace weir::gateway
