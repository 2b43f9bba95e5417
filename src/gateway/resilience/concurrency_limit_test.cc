// The limit against a model of a server: it finds its capacity, and follows it.
#include "gateway/resilience/concurrency_limit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

TEST(ConcurrencyLimitTest, FixedIsABound) {
  ConcurrencyLimit limit({.max_limit = 2}, 1, 0);
  EXPECT_EQ(limit.begin(), 1);
  EXPECT_TRUE(limit.has_room());
  EXPECT_EQ(limit.begin(), 2);
  EXPECT_FALSE(limit.has_room());
  for (int i = 0; i < 100; ++i) limit.on_first_byte(1'000'000 * kMs, 2, i * 1000 * kMs);
  limit.on_overload(0);
  EXPECT_EQ(limit.limit(), 2);
  limit.end();
  EXPECT_TRUE(limit.has_room());
  limit.end();
  limit.end();  // one too many
  EXPECT_EQ(limit.in_flight(), 0);
}

// A server that does `capacity` requests at once in base_ms each; more of them wait. Every request
// that has room is sent: as much load as the limit lets through.
struct Server {
  double capacity = 20;
  int64_t base_ms = 100;
};
int32_t settle(ConcurrencyLimit& limit, const Server& server, int64_t& now, int seconds,
               int32_t demand, Rng& rng) {
  for (int i = 0; i < seconds * 10; ++i, now += 100 * kMs) {
    const int32_t n = std::min(demand, limit.limit());
    while (limit.in_flight() < n) limit.begin();
    while (limit.in_flight() > n) limit.end();
    for (int k = 0; k < std::max(1, n / 4); ++k) {
      const double load = std::max(1.0, static_cast<double>(n) / server.capacity);
      const double noise = 0.9 + 0.2 * rng.unit();
      limit.on_first_byte(
          static_cast<int64_t>(load * noise * static_cast<double>(server.base_ms * kMs)), n, now);
    }
  }
  return limit.limit();
}

constexpr ConcurrencyLimitConfig kAdaptive{
    .adaptive = true, .min_limit = 2, .max_limit = 500, .initial_limit = 10};

TEST(ConcurrencyLimitTest, FindsWhatTheServerDoesWithinTheTolerance) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Rng rng(seed);
    ConcurrencyLimit limit(kAdaptive, seed, 0);
    int64_t now = 0;
    Server server{.capacity = 50};
    (void)settle(limit, server, now, 5, 2, rng);  // little load: the time without it is measured
    EXPECT_NEAR(static_cast<double>(limit.no_load_ns()), 100e6, 10e6);
    // Twice the time is tolerated: between the capacity and three times as much (and its queue).
    const int32_t high = settle(limit, server, now, 60, 500, rng);
    EXPECT_GT(high, 60) << seed;
    EXPECT_LT(high, 200) << seed;
    // A third of the server is left: the limit follows.
    server.capacity = 15;
    const int32_t low = settle(limit, server, now, 30, 500, rng);
    EXPECT_LT(low, high / 2) << seed;
    EXPECT_GE(low, 15) << seed;
  }
}

// A gateway that starts under load has only its first requests to find the time without it.
TEST(ConcurrencyLimitTest, TheFirstRequestsCountAtOnce) {
  ConcurrencyLimit limit(kAdaptive, 1, 0);
  EXPECT_EQ(limit.no_load_ns(), 0);
  limit.on_first_byte(300 * kMs, 3, 0);  // above min_limit
  EXPECT_EQ(limit.no_load_ns(), 0);
  limit.on_first_byte(100 * kMs, 1, 0);
  EXPECT_EQ(limit.no_load_ns(), 100 * kMs);
}

TEST(ConcurrencyLimitTest, DoesNotGrowUnused) {
  Rng rng(1);
  ConcurrencyLimit limit(kAdaptive, 1, 0);
  int64_t now = 0;
  EXPECT_EQ(settle(limit, {}, now, 60, 3, rng), 10);
  EXPECT_GT(settle(limit, {}, now, 20, 9, rng), 10);
}

TEST(ConcurrencyLimitTest, MeasuresAnewWhenNeverQuiet) {
  Rng rng(1);
  ConcurrencyLimitConfig config = kAdaptive;
  config.remeasure_ms = 20'000;
  ConcurrencyLimit limit(config, 1, 0);
  int64_t now = 0;
  // Busy from the start: the first time seen passes for that without load.
  int measurements = 0;
  bool measuring = false;
  for (int i = 0; i < 60; ++i) {
    (void)settle(limit, {.capacity = 5}, now, 1, 500, rng);
    if (limit.measuring() && !measuring) ++measurements;
    measuring = limit.measuring();
    if (measuring) {
      EXPECT_EQ(limit.limit(), 2);
    }
  }
  EXPECT_GE(measurements, 2);
  EXPECT_LE(measurements, 3);
  EXPECT_NEAR(static_cast<double>(limit.no_load_ns()), 100e6, 10e6);
}

TEST(ConcurrencyLimitTest, OverloadLowersItOnceAWindow) {
  ConcurrencyLimitConfig config = kAdaptive;
  config.initial_limit = 100;
  ConcurrencyLimit limit(config, 1, 0);
  for (int i = 0; i < 50; ++i) limit.on_overload(i * kMs);
  EXPECT_EQ(limit.limit(), 90);
  for (int i = 1; i < 200; ++i) limit.on_overload(i * 1000 * kMs);
  EXPECT_EQ(limit.limit(), 2);
}

}  // namespace
}  // namespace weir::gateway
