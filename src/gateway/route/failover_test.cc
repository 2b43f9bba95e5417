// Shares of tiers as endpoints go down and come back.
#include "gateway/route/failover.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

struct Fleet {
  std::vector<EndpointView> endpoints;
  std::vector<Candidate> all;

  void add(uint32_t count, uint8_t priority, const EndpointView& e, double weight = 1) {
    for (uint32_t i = 0; i < count; ++i) {
      all.push_back({static_cast<uint32_t>(endpoints.size()), priority, weight});
      endpoints.push_back(e);
    }
  }
  FleetView view() const { return {endpoints, 1, 11}; }
  // So many of the first `of` are up.
  void up(size_t count, size_t of) {
    for (size_t i = 0; i < of; ++i) endpoints[i].up = i < count;
  }
};

Fleet two_priorities() {
  Fleet f;
  f.add(10, 0, {});
  f.add(10, 1, {});
  return f;
}

// Envoy's table: with 2 priorities of which the second is healthy.
TEST(FailoverTest, SharesAreEnvoys) {
  Fleet f = two_priorities();
  for (const auto& [up, first] : std::vector<std::pair<size_t, double>>{
           {10, 1}, {8, 1}, {7, 0.98}, {5, 0.7}, {1, 0.14}, {0, 0}}) {
    f.up(up, 10);
    Failover failover({.locality = false});
    failover.update(f.view(), f.all, 0);
    EXPECT_NEAR(failover.shares()[0], first, 1e-9) << up;
    EXPECT_NEAR(failover.shares()[3], 1 - first, 1e-9) << up;
  }
}

TEST(FailoverTest, TooLittleEverywhereIsScaledUp) {
  Fleet f = two_priorities();
  for (uint32_t i = 0; i < 20; ++i) f.endpoints[i].up = i % 10 == 0 || i == 11;  // 1 and 2 of 10
  Failover failover({.locality = false});
  failover.update(f.view(), f.all, 0);
  EXPECT_NEAR(failover.shares()[0], 1.0 / 3, 1e-9);
  EXPECT_NEAR(failover.shares()[3], 2.0 / 3, 1e-9);
  for (EndpointView& e : f.endpoints) e.up = false;
  failover.update(f.view(), f.all, 1);
  for (const double s : failover.shares()) EXPECT_EQ(s, 0);
}

TEST(FailoverTest, LeavesAtOnceAndComesBackLater) {
  Fleet f = two_priorities();
  Failover failover({.failback_ms = 30'000, .locality = false});
  failover.update(f.view(), f.all, 0);
  EXPECT_EQ(failover.shares()[0], 1);
  f.up(2, 10);
  failover.update(f.view(), f.all, kSecond);
  EXPECT_NEAR(failover.shares()[0], 0.28, 1e-9);
  f.up(10, 10);
  failover.update(f.view(), f.all, 2 * kSecond);
  failover.update(f.view(), f.all, 31 * kSecond);
  EXPECT_NEAR(failover.shares()[0], 0.28, 1e-9);
  failover.update(f.view(), f.all, 32 * kSecond);
  EXPECT_EQ(failover.shares()[0], 1);
}

// It comes back to the lowest it had in the time of probation.
TEST(FailoverTest, FlappingMovesNothingBack) {
  Fleet f = two_priorities();
  Failover failover({.failback_ms = 30'000, .locality = false});
  f.up(0, 10);
  failover.update(f.view(), f.all, 0);
  for (int64_t s = 1; s < 300; ++s) {
    f.up(s % 20 == 0 ? 0 : 10, 10);
    failover.update(f.view(), f.all, s * kSecond);
    ASSERT_EQ(failover.shares()[0], 0) << s;
  }
  f.up(3, 10);
  failover.update(f.view(), f.all, 301 * kSecond);
  f.up(10, 10);
  failover.update(f.view(), f.all, 332 * kSecond);
  EXPECT_NEAR(failover.shares()[0], 0.42, 1e-9);
  failover.update(f.view(), f.all, 333 * kSecond);
  failover.update(f.view(), f.all, 363 * kSecond);
  EXPECT_EQ(failover.shares()[0], 1);
}

// A tier's health is of the weight that is up: the endpoint's times the candidate's.
TEST(FailoverTest, WeightsMultiply) {
  Fleet f;
  f.add(1, 0, {.weight = 2}, 3);
  f.add(1, 0, {.weight = 2}, 2);
  f.add(1, 1, {});
  f.endpoints[0].up = false;
  Failover failover({.locality = false});
  failover.update(f.view(), f.all, 0);
  EXPECT_NEAR(failover.shares()[0], 0.56, 1e-9);  // 1.4 * 4 / 10
  ASSERT_EQ(failover.members().size(), 3U);
  EXPECT_EQ(failover.members()[0].weight, 6);
  EXPECT_EQ(failover.members()[1].load_factor, 0.25);
}

// On probation, but all there is.
TEST(FailoverTest, ADelayIsNoReasonToRefuse) {
  Fleet f;
  f.add(4, 0, {});
  Failover failover({.locality = false});
  f.up(0, 4);
  failover.update(f.view(), f.all, 0);
  EXPECT_EQ(failover.shares()[0], 0);
  f.up(1, 4);
  failover.update(f.view(), f.all, 1);
  EXPECT_EQ(failover.shares()[0], 1);
}

TEST(FailoverTest, NearIsBeforeFarWithinAPriority) {
  Fleet f;
  f.add(2, 0, {.region = 1, .zone = 11});
  f.add(2, 0, {.region = 1, .zone = 12});
  f.add(2, 0, {.region = 2, .zone = 21});
  f.add(2, 1, {.region = 1, .zone = 11});
  const FailoverConfig config{};
  EXPECT_EQ(tier_of(config, f.view(), f.all[0]), 0U);
  EXPECT_EQ(tier_of(config, f.view(), f.all[2]), 1U);
  EXPECT_EQ(tier_of(config, f.view(), f.all[4]), 2U);
  EXPECT_EQ(tier_of(config, f.view(), f.all[6]), 3U);
  EXPECT_EQ(tier_of({.locality = false}, f.view(), f.all[4]), 0U);
  EXPECT_EQ(tier_of(config, FleetView{f.endpoints}, f.all[0]), 2U);  // home is not told
  const std::vector<EndpointView> nowhere(1);                        // neither is its place
  EXPECT_EQ(tier_of(config, FleetView{nowhere}, Candidate{}), 2U);
  EXPECT_EQ(tier_of(config, FleetView{nowhere, 1, 11}, Candidate{}), 2U);
  EXPECT_EQ(tier_of(config, f.view(), Candidate{.endpoint = 4, .priority = 200}), kTiers - 1);
  Failover failover(config);
  f.endpoints[0].up = false;
  failover.update(f.view(), f.all, 0);
  EXPECT_NEAR(failover.shares()[0], 0.7, 1e-9);
  EXPECT_NEAR(failover.shares()[1], 0.3, 1e-9);
}

// Whatever happens: shares sum to 1 or to 0, and no tier without anything up has any.
TEST(FailoverTest, NoTrafficToTheDead) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    Fleet f;
    for (int i = 0; i < 12; ++i) {
      f.add(1, static_cast<uint8_t>(rng.below(3)),
            {.weight = static_cast<double>(1 + rng.below(5)),
             .region = static_cast<uint32_t>(rng.below(3)),
             .zone = static_cast<uint32_t>(11 + rng.below(2))});
    }
    Failover failover({.failback_ms = 5'000});
    int64_t now = 0;
    for (int step = 0; step < 100; ++step) {
      now += static_cast<int64_t>(rng.below(3 * kSecond));
      f.endpoints[rng.below(12)].up = rng.below(2) == 0;
      failover.update(f.view(), f.all, now);
      bool any = false;
      std::array<bool, kTiers> alive{};
      for (const Candidate& c : f.all) {
        const bool up = f.endpoints[c.endpoint].up;
        any |= up;
        alive[tier_of(failover.config(), f.view(), c)] |= up;
      }
      double sum = 0;
      for (size_t t = 0; t < kTiers; ++t) {
        sum += failover.shares()[t];
        ASSERT_TRUE(alive[t] || failover.shares()[t] == 0) << "seed " << seed << " step " << step;
      }
      ASSERT_NEAR(sum, any ? 1 : 0, 1e-9) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace weir::gateway
