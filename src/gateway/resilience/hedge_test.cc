// Quantiles against exact ones, and what is hedged.
#include "gateway/resilience/hedge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/quantile.h"
#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

TEST(DecayingQuantileTest, WithinABucketOfTheExactOne) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    DecayingQuantile times(60'000);
    std::vector<double> all;
    for (int i = 0; i < 5000; ++i) {
      const auto ns = static_cast<int64_t>(1e6 * std::exp(6.0 * rng.unit()));  // 1 .. 400 ms
      times.add(ns, 5 * kMs);
      all.push_back(static_cast<double>(ns));
    }
    std::sort(all.begin(), all.end());
    for (const double q : {0.01, 0.5, 0.9, 0.95, 0.99, 1.0}) {
      const double exact = sorted_quantile(std::span<const double>(all), q);
      EXPECT_NEAR(static_cast<double>(times.quantile_ns(q).value_or(0)) / exact, 1.0, 0.08) << q;
    }
    EXPECT_NEAR(times.weight(5 * kMs), 5000, 1e-6);
  }
}

TEST(DecayingQuantileTest, OldTimesFade) {
  DecayingQuantile times(60'000);
  for (int i = 0; i < 1000; ++i) times.add(1000 * kMs, 0);
  EXPECT_NEAR(times.weight(60'000 * kMs), 500, 1e-6);
  // Five half-lives later 1,000 old ones weigh as 31 new ones.
  const int64_t later = 300'000 * kMs;
  for (int i = 0; i < 1000; ++i) times.add(100 * kMs, later);
  EXPECT_NEAR(static_cast<double>(*times.quantile_ns(0.95)), 100e6, 8e6);
  EXPECT_NEAR(static_cast<double>(*times.quantile_ns(0.99)), 1000e6, 80e6);
  // After months the sums have been scaled down more than once, and still are right.
  int64_t now = later;
  for (int day = 0; day < 100; ++day, now += 86'400'000 * kMs)
    for (int i = 0; i < 200; ++i) times.add(50 * kMs, now);
  now -= 86'400'000 * kMs;
  EXPECT_NEAR(times.weight(now), 200, 1e-6);
  EXPECT_NEAR(static_cast<double>(*times.quantile_ns(0.99)), 50e6, 4e6);
}

TEST(DecayingQuantileTest, TheEnds) {
  DecayingQuantile times(60'000);
  EXPECT_EQ(times.quantile_ns(0.5), std::nullopt);
  times.add(0, 0);
  times.add(-5, 0);
  EXPECT_EQ(times.quantile_ns(1.0), 100'000);
  times.add(int64_t{100} * 86'400'000 * kMs, 0);
  EXPECT_NEAR(static_cast<double>(*times.quantile_ns(1.0)), 1.13e12, 0.02e12);  // 19 minutes
}

constexpr HedgeConfig kOn{.enabled = true};
constexpr HedgeCase kLate{.repeatable = true, .other_endpoint = true};

TEST(HedgePolicyTest, TheDelayIsTheQuantile) {
  HedgePolicy hedge(kOn);
  for (int i = 0; i < 99; ++i) hedge.on_first_byte((i + 1) * 10 * kMs, 0);
  EXPECT_EQ(hedge.delay_ns(0), std::nullopt);  // too few
  hedge.on_first_byte(1000 * kMs, 0);
  EXPECT_NEAR(static_cast<double>(hedge.delay_ns(0).value_or(0)), 950e6, 76e6);
  EXPECT_EQ(hedge.delay_ns(3'600'000 * kMs), std::nullopt);  // an hour later: too old
  HedgePolicy fast(kOn);
  for (int i = 0; i < 200; ++i) fast.on_first_byte(kMs, 0);
  EXPECT_EQ(fast.delay_ns(0), 10 * kMs);
  EXPECT_EQ(HedgePolicy({.enabled = false}).delay_ns(0), std::nullopt);
}

TEST(HedgePolicyTest, WhatIsNotHedged) {
  HedgePolicy hedge(kOn);
  for (int i = 0; i < 50; ++i) hedge.on_request(0);
  const auto refusal = [&](auto change) {
    HedgeCase request = kLate;
    change(request);
    return hedge_refusal_name(hedge.try_hedge(request, 0));
  };
  EXPECT_EQ(refusal([](HedgeCase& r) { r.first_byte = true; }), "first_byte");
  EXPECT_EQ(refusal([](HedgeCase& r) { r.repeatable = false; }), "not_repeatable");
  EXPECT_EQ(refusal([](HedgeCase& r) { r.hedged = true; }), "hedged");
  EXPECT_EQ(refusal([](HedgeCase& r) { r.other_endpoint = false; }), "no_endpoint");
  EXPECT_EQ(refusal([](HedgeCase& r) { r.utilization = 0.71; }), "capacity");
  EXPECT_EQ(refusal([](HedgeCase& r) { r.utilization = 0.7; }), "none");
  EXPECT_EQ(refusal([](HedgeCase&) {}), "budget");
  HedgePolicy idle(kOn);  // no request has paid anything
  EXPECT_EQ(hedge_refusal_name(idle.try_hedge(kLate, 1'000'000 * kMs)), "budget");
  HedgePolicy off;
  EXPECT_EQ(hedge_refusal_name(off.try_hedge(kLate, 0)), "disabled");
}

TEST(HedgePolicyTest, AtMostTwoInAHundred) {
  HedgePolicy hedge(kOn);
  int hedges = 0;
  for (int i = 0; i < 10'000; ++i) {
    const int64_t now = i * 10 * kMs;
    hedge.on_request(now);
    hedges += hedge.try_hedge(kLate, now) == HedgeRefusal::kNone ? 1 : 0;
  }
  EXPECT_EQ(hedges, 200);
}

}  // namespace
}  // namespace weir::gateway
