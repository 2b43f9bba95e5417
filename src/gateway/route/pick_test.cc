// What each policy chooses, and what holds whatever it is.
#include "gateway/route/pick.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "gateway/route/mix.h"

namespace weir::gateway {
namespace {

struct Bed {
  std::vector<EndpointView> endpoints;
  std::vector<Candidate> candidates;
  std::vector<uint32_t> matched;
  RequestView request;
  PickConfig config;
  Failover failover{{.failback_ms = 0}};
  uint64_t turn = 0;
  PickScratch scratch;

  explicit Bed(size_t n, PickPolicy policy) {
    config.policy = policy;
    request.input_tokens = 1'000;
    for (uint32_t i = 0; i < n; ++i) {
      endpoints.push_back({.identity = mix64(i)});
      candidates.push_back({.endpoint = i});
    }
    matched.assign(n, 0);
  }
  Attempts attempts(uint64_t draw) {
    const FleetView fleet{endpoints, 1, 11};
    failover.update(fleet, candidates, 0);
    return route(config,
                 {.request = request,
                  .fleet = fleet,
                  .failover = failover,
                  .matched_tokens = matched,
                  .draw = mix64(draw),
                  .turn = turn++},
                 scratch);
  }
  uint32_t first(uint64_t draw) {
    const Attempts a = attempts(draw);
    EXPECT_GT(a.count, 0U);
    return a.endpoint[0];
  }
  std::map<uint32_t, int> counts(int n) {
    std::map<uint32_t, int> out;
    for (int i = 0; i < n; ++i) ++out[first(static_cast<uint64_t>(i))];
    return out;
  }
};

TEST(PickTest, NamesReadBack) {
  for (const auto* name :
       {"round_robin", "random_two", "least_loaded", "cache_aware", "session_affinity"}) {
    const auto policy = pick_policy_of(name);
    ASSERT_TRUE(policy.has_value()) << name;
    EXPECT_EQ(pick_policy_name(*policy), name);
  }
  EXPECT_FALSE(pick_policy_of("random").has_value());
}

TEST(PickTest, RoundRobinGoesRound) {
  Bed bed(5, PickPolicy::kRoundRobin);
  bed.endpoints[3].up = false;
  bed.config.attempts = 8;
  const std::vector<uint32_t> order = {0, 1, 2, 4};
  for (size_t i = 0; i < 40; ++i) {
    const Attempts a = bed.attempts(i);
    ASSERT_EQ(a.count, 4U);
    for (size_t k = 0; k < 4; ++k) EXPECT_EQ(a.endpoint[k], order[(i + k) % 4]);
  }
}

TEST(PickTest, RoundRobinKeepsWeightsInEveryStretch) {
  Bed bed(3, PickPolicy::kRoundRobin);
  bed.endpoints[0].weight = 1;
  bed.candidates[1].weight = 2;  // either way
  bed.endpoints[2].weight = 5;
  for (int stretch = 0; stretch < 20; ++stretch) {
    const auto counts = bed.counts(80);
    EXPECT_NEAR(counts.at(0), 10, 2);
    EXPECT_NEAR(counts.at(1), 20, 2);
    EXPECT_NEAR(counts.at(2), 50, 3);
  }
}

TEST(PickTest, RandomTwoTakesTheLessLoadedOfTwo) {
  Bed bed(4, PickPolicy::kRandomTwo);
  for (uint32_t i = 0; i < 4; ++i) bed.endpoints[i].queued_tokens = i * 100;
  const auto counts = bed.counts(6'000);
  // Pairs of four: the least wins 3 of 6, the next 2, then 1; the most loaded never.
  EXPECT_NEAR(counts.at(0), 3'000, 150);
  EXPECT_NEAR(counts.at(1), 2'000, 150);
  EXPECT_NEAR(counts.at(2), 1'000, 150);
  EXPECT_EQ(counts.count(3), 0U);
}

TEST(PickTest, RandomTwoDrawsByWeight) {
  Bed bed(3, PickPolicy::kRandomTwo);
  bed.endpoints[0].weight = 8;
  const auto counts = bed.counts(4'000);
  // Both others are drawn with 0 in between unless 0 is first or second: it is in 0.8 + 2 * 0.1 *
  // 8/9 of the pairs and wins half of them by the tie.
  EXPECT_NEAR(counts.at(0), 4'000 * (0.8 + 0.2 * 8 / 9) / 2, 150);
}

TEST(PickTest, LeastLoadedWeighsWorthAndRunningRequests) {
  Bed bed(3, PickPolicy::kLeastLoaded);
  bed.endpoints[0].queued_tokens = 900;
  bed.endpoints[1].queued_tokens = 1'000;
  bed.endpoints[2].queued_tokens = 1'900;
  EXPECT_EQ(bed.first(1), 0U);
  bed.endpoints[1].weight = 1.2;
  EXPECT_EQ(bed.first(1), 1U);
  bed.endpoints[2].prefill_tokens_per_s = 9'000;  // the others do not tell: they count as the mean
  EXPECT_EQ(bed.first(1), 1U);
  bed.endpoints[0].prefill_tokens_per_s = 3'000;
  bed.endpoints[1].prefill_tokens_per_s = 3'000;
  EXPECT_EQ(bed.first(1), 2U);
  bed.endpoints[2].in_flight = 40;
  EXPECT_EQ(bed.first(1), 1U);
}

TEST(PickTest, LeastLoadedBreaksTiesByTheDraw) {
  Bed bed(4, PickPolicy::kLeastLoaded);
  const auto counts = bed.counts(4'000);
  for (uint32_t i = 0; i < 4; ++i) EXPECT_NEAR(counts.at(i), 1'000, 120) << i;
}

TEST(PickTest, SignalsAreBelievedWhileFresh) {
  Bed bed(2, PickPolicy::kLeastLoaded);
  bed.endpoints[1].queued_tokens = 500;
  bed.endpoints[0].waiting = 5;
  EXPECT_EQ(bed.first(1), 0U);  // it never said so
  bed.endpoints[0].signals_age_ms = 10'000;
  EXPECT_EQ(bed.first(1), 1U);
  bed.endpoints[0].signals_age_ms = 10'001;
  EXPECT_EQ(bed.first(1), 0U);
}

// What other clients have running there counts as what this gateway has.
TEST(PickTest, RequestsOfOtherClientsWeigh) {
  Bed bed(2, PickPolicy::kLeastLoaded);
  bed.endpoints[0].in_flight = 4;
  bed.endpoints[1].requests = 20;
  EXPECT_EQ(bed.first(1), 1U);  // it never said so
  bed.endpoints[1].signals_age_ms = 0;
  EXPECT_EQ(bed.first(1), 0U);
  bed.endpoints[0].in_flight = 21;
  EXPECT_EQ(bed.first(1), 1U);
}

TEST(PickTest, CacheAwareFollowsThePrefixWhileItPays) {
  Bed bed(3, PickPolicy::kCacheAware);
  bed.config.beta = 0.25;
  bed.matched[1] = 500;
  EXPECT_EQ(bed.first(1), 1U);
  bed.endpoints[1].queued_tokens = 1'999;
  EXPECT_EQ(bed.first(1), 1U);
  bed.endpoints[1].queued_tokens = 2'001;  // above matched / beta more than the shortest queue
  EXPECT_NE(bed.first(1), 1U);
  bed.endpoints[0].queued_tokens = 10;
  bed.endpoints[2].queued_tokens = 10;
  EXPECT_EQ(bed.first(1), 1U);  // all queues are longer: only the difference counts
  bed.config.beta = 1;
  EXPECT_NE(bed.first(1), 1U);
  bed.matched[2] = 100;
  EXPECT_EQ(bed.first(1), 2U);
}

TEST(PickTest, CacheAwareWithoutMatchTakesTheShortestQueue) {
  Bed bed(3, PickPolicy::kCacheAware);
  bed.endpoints[0].queued_tokens = 10;
  bed.endpoints[2].queued_tokens = 10;
  bed.matched.clear();
  EXPECT_EQ(bed.first(1), 1U);
}

TEST(PickTest, SessionsStayWhereTheyAre) {
  Bed bed(10, PickPolicy::kSessionAffinity);
  std::map<std::string, uint32_t> home;
  std::map<uint32_t, int> sessions;
  for (int s = 0; s < 2'000; ++s) {
    const std::string name = "session-" + std::to_string(s);
    bed.request.session = name;
    home[name] = bed.first(1);
    ++sessions[home[name]];
    EXPECT_EQ(bed.first(static_cast<uint64_t>(s)), home[name]);
  }
  for (uint32_t i = 0; i < 10; ++i) EXPECT_NEAR(sessions[i], 200, 60);
  // Only the sessions of an endpoint that goes away move, each to its second choice.
  for (auto& [name, where] : home) {
    bed.request.session = name;
    const Attempts before = bed.attempts(1);
    bed.endpoints[4].up = false;
    EXPECT_EQ(bed.first(1), where == 4 ? before.endpoint[1] : where);
    bed.endpoints[4].up = true;
  }
}

TEST(PickTest, SessionsFollowWeights) {
  Bed bed(3, PickPolicy::kSessionAffinity);
  bed.endpoints[0].weight = 8;
  std::map<uint32_t, int> sessions;
  for (int s = 0; s < 4'000; ++s) {
    const std::string name = std::to_string(s);
    bed.request.session = name;
    ++sessions[bed.first(1)];
  }
  EXPECT_NEAR(sessions[0], 3'200, 120);
  EXPECT_NEAR(sessions[1], 400, 80);
}

TEST(PickTest, AffinityHasABound) {
  Bed bed(4, PickPolicy::kSessionAffinity);
  bed.request.session = "one";
  // The session sends all there is: 100 requests, none of which ends.
  for (int i = 0; i < 100; ++i) ++bed.endpoints[bed.first(static_cast<uint64_t>(i))].in_flight;
  for (const EndpointView& e : bed.endpoints) EXPECT_LE(e.in_flight, 32);  // 1.25 * 100 / 4
  int most = 0;
  for (const EndpointView& e : bed.endpoints) most = std::max(most, e.in_flight);
  EXPECT_GE(most, 31);
  Bed alone(4, PickPolicy::kSessionAffinity);  // without a session: by load
  alone.endpoints[2].queued_tokens = -1;
  EXPECT_EQ(alone.first(1), 2U);
}

TEST(PickTest, FullSpillsOverAndComesBack) {
  Bed bed(4, PickPolicy::kLeastLoaded);
  bed.candidates[2].priority = bed.candidates[3].priority = 1;
  for (EndpointView& e : bed.endpoints) e.max_in_flight = 10;
  bed.endpoints[0].in_flight = bed.endpoints[1].in_flight = 9;
  EXPECT_LT(bed.first(1), 2U);
  bed.endpoints[0].in_flight = bed.endpoints[1].in_flight = 10;
  const Attempts a = bed.attempts(1);
  ASSERT_EQ(a.count, 3U);
  EXPECT_GE(a.endpoint[0], 2U);
  EXPECT_GE(a.endpoint[1], 2U);
  EXPECT_LT(a.endpoint[2], 2U);
  bed.endpoints[1].in_flight = 9;
  EXPECT_EQ(bed.first(1), 1U);
  // Also by what the endpoint says of its cache.
  bed.endpoints[1].signals_age_ms = 0;
  bed.endpoints[1].waiting = 1;
  bed.endpoints[1].kv_usage = 0.99;
  EXPECT_GE(bed.first(1), 2U);
  for (EndpointView& e : bed.endpoints) e.in_flight = 10;  // all are full: who is near
  EXPECT_LT(bed.first(1), 2U);
}

TEST(PickTest, TiersGetTheirShares) {
  Bed bed(20, PickPolicy::kLeastLoaded);
  for (uint32_t i = 10; i < 20; ++i) bed.candidates[i].priority = 1;
  for (uint32_t i = 0; i < 5; ++i) bed.endpoints[i].up = false;
  int near = 0;
  for (const auto& [endpoint, n] : bed.counts(4'000)) near += endpoint < 10 ? n : 0;
  EXPECT_NEAR(near, 2'800, 120);
}

// Distinct endpoints that are up and of the pool, as many as there are or as asked; the same for
// the same draw; nobody that is full before one who is not.
TEST(PickTest, WhateverTheFleetAttemptsAreSound) {
  for (uint64_t seed = 0; seed < 600; ++seed) {
    Rng rng(seed);
    const size_t n = 1 + rng.below(20);
    Bed bed(n, static_cast<PickPolicy>(rng.below(5)));
    bed.config.attempts = 1 + rng.below(kMaxAttempts);
    bed.request.session = rng.below(2) == 0 ? "" : "s";
    for (uint32_t i = 0; i < n; ++i) {
      EndpointView& e = bed.endpoints[i];
      e.up = rng.below(4) != 0;
      bed.candidates[i].priority = static_cast<uint8_t>(rng.below(3));
      bed.candidates[i].weight = static_cast<double>(1 + rng.below(2));
      e.zone = static_cast<uint32_t>(rng.below(20));
      e.weight = static_cast<double>(1 + rng.below(3));
      e.in_flight = static_cast<int32_t>(rng.below(20));
      e.max_in_flight = static_cast<int32_t>(rng.below(20));
      e.queued_tokens = static_cast<int64_t>(rng.below(5'000));
      bed.matched[i] = static_cast<uint32_t>(rng.below(1'000));
    }
    bed.candidates.erase(std::remove_if(bed.candidates.begin(), bed.candidates.end(),
                                        [&](const Candidate&) { return rng.below(4) == 0; }),
                         bed.candidates.end());
    bed.turn = rng.next();
    const uint64_t turn = bed.turn;
    const Attempts a = bed.attempts(seed);
    bed.turn = turn;
    const Attempts again = bed.attempts(seed);
    EXPECT_TRUE(std::equal(a.all().begin(), a.all().end(), again.all().begin(), again.all().end()));
    size_t up = 0;
    for (const Candidate& c : bed.candidates) up += bed.endpoints[c.endpoint].up ? 1 : 0;
    ASSERT_EQ(a.count, std::min(up, bed.config.attempts)) << "seed " << seed;
    EXPECT_EQ(std::set<uint32_t>(a.all().begin(), a.all().end()).size(), a.count);
    bool full = false;
    for (const uint32_t i : a.all()) {
      EXPECT_TRUE(bed.endpoints[i].up);
      EXPECT_TRUE(std::any_of(bed.candidates.begin(), bed.candidates.end(),
                              [i](const Candidate& c) { return c.endpoint == i; }));
      const bool f = is_full(bed.config, bed.endpoints[i]);
      EXPECT_TRUE(f || !full) << "seed " << seed;
      full = f;
    }
  }
}

}  // namespace
}  // namespace weir::gateway
