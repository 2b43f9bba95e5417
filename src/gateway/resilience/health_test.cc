// Rise, fall, the first check, intervals; and the ramp after it.
#include "gateway/resilience/health.h"

#include <gtest/gtest.h>

#include <limits>

#include "gateway/resilience/slow_start.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

TEST(ActiveHealthTest, RiseAndFall) {
  ActiveHealth health({.rise = 2, .fall = 3}, 1, 0);
  EXPECT_TRUE(health.healthy());
  EXPECT_FALSE(health.on_check(true, 0));
  EXPECT_FALSE(health.on_check(false, kMs));
  EXPECT_FALSE(health.on_check(false, kMs));
  EXPECT_FALSE(health.on_check(true, kMs));  // begins anew
  EXPECT_FALSE(health.on_check(false, kMs));
  EXPECT_FALSE(health.on_check(false, kMs));
  EXPECT_TRUE(health.on_check(false, kMs));
  EXPECT_FALSE(health.healthy());
  EXPECT_FALSE(health.on_check(true, 2 * kMs));
  EXPECT_FALSE(health.healthy());
  EXPECT_TRUE(health.on_check(true, 3 * kMs));
  EXPECT_TRUE(health.healthy());
  EXPECT_EQ(health.healthy_since_ns(), 3 * kMs);
}

TEST(ActiveHealthTest, TheFirstCheckDecidesAlone) {
  ActiveHealth down({.starts_healthy = true}, 1, 0);
  EXPECT_TRUE(down.on_check(false, 0));
  EXPECT_FALSE(down.healthy());
  ActiveHealth up({.starts_healthy = false}, 1, 0);
  EXPECT_FALSE(up.healthy());
  EXPECT_FALSE(up.checked());
  EXPECT_TRUE(up.on_check(true, kMs));
  EXPECT_TRUE(up.healthy());
  EXPECT_TRUE(up.checked());
}

TEST(ActiveHealthTest, OffIsAlwaysHealthyAndNeverDue) {
  ActiveHealth health({.enabled = false, .starts_healthy = false}, 1, 0);
  EXPECT_TRUE(health.healthy());
  EXPECT_EQ(health.next_check_ns(), std::numeric_limits<int64_t>::max());
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(health.on_check(false, 0));
  EXPECT_TRUE(health.healthy());
}

TEST(ActiveHealthTest, Intervals) {
  ActiveHealth health({.interval_ms = 5000, .fast_interval_ms = 1000, .jitter = 0.2}, 3, 0);
  EXPECT_LE(health.next_check_ns(), 200 * kMs);
  health.on_check_started();
  EXPECT_EQ(health.next_check_ns(), std::numeric_limits<int64_t>::max());
  health.on_request_failed(0);
  EXPECT_EQ(health.next_check_ns(), std::numeric_limits<int64_t>::max());
  int64_t earliest = std::numeric_limits<int64_t>::max();
  int64_t latest = 0;
  for (int i = 0; i < 1000; ++i) {
    health.on_check(true, 0);
    earliest = std::min(earliest, health.next_check_ns());
    latest = std::max(latest, health.next_check_ns());
  }
  EXPECT_GE(earliest, 4000 * kMs);
  EXPECT_LT(earliest, 4100 * kMs);
  EXPECT_LE(latest, 6000 * kMs);
  EXPECT_GT(latest, 5900 * kMs);
  health.on_check(false, 0);  // in doubt: sooner
  EXPECT_LE(health.next_check_ns(), 1200 * kMs);
  health.on_check(true, 0);
  health.on_request_failed(100 * kMs);
  EXPECT_EQ(health.next_check_ns(), 1100 * kMs);
}

TEST(SlowStartTest, Ramp) {
  const SlowStartConfig config{.window_ms = 10'000, .min_weight = 0.1, .aggression = 1.0};
  EXPECT_DOUBLE_EQ(slow_start_weight(config, 0, 0), 0.1);
  EXPECT_DOUBLE_EQ(slow_start_weight(config, 0, 5000 * kMs), 0.5);
  EXPECT_DOUBLE_EQ(slow_start_weight(config, 0, 10'000 * kMs), 1.0);
  EXPECT_DOUBLE_EQ(slow_start_weight(config, 5000 * kMs, 0), 0.1);  // ready in the future
  EXPECT_DOUBLE_EQ(slow_start_weight({.window_ms = 10'000, .aggression = 2.0}, 0, 2500 * kMs), 0.5);
  EXPECT_DOUBLE_EQ(slow_start_weight({.window_ms = 0}, 0, 0), 1.0);
  double last = 0;
  for (int64_t ms = 0; ms < 20'000; ms += 100) {
    const double weight = slow_start_weight({.aggression = 1.5}, 0, ms * kMs);
    EXPECT_GE(weight, last);
    EXPECT_LE(weight, 1.0);
    last = weight;
  }
}

}  // namespace
}  // namespace weir::gateway
