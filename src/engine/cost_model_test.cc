#include "engine/cost_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/calibration.h"
#include "engine/fake_runner.h"

namespace weir::engine {
namespace {

constexpr StepCosts kTrue{3.0, 0.8, 1.0, 0.003, 0.001};

StepWork random_work(Rng& rng) {
  StepWork w;
  if (rng.below(2) == 0)
    w.add_prefill(static_cast<int64_t>(rng.below(4000)), static_cast<int64_t>(1 + rng.below(256)));
  const uint64_t decodes = rng.below(16);
  for (uint64_t i = 0; i < decodes; ++i) w.add_decode(static_cast<int64_t>(1 + rng.below(4000)));
  return w;
}

std::vector<StepSample> probes() {
  std::vector<StepSample> samples;
  for (const int64_t position : {0, 1000}) {
    for (const int64_t tokens : {16, 64, 256}) {
      StepSample s;
      s.work.add_prefill(position, tokens);
      samples.push_back(s);
    }
    for (const int lanes : {1, 8}) {
      StepSample s;
      for (int i = 0; i < lanes; ++i) s.work.add_decode(position + 1);
      samples.push_back(s);
    }
  }
  for (StepSample& s : samples) s.ms = kTrue.predict_ms(s.work);
  return samples;
}

void expect_near(const StepCosts& got, const StepCosts& want, double tolerance) {
  EXPECT_NEAR(got.fixed_ms, want.fixed_ms, tolerance * want.fixed_ms);
  EXPECT_NEAR(got.prefill_token_ms, want.prefill_token_ms, tolerance * want.prefill_token_ms);
  EXPECT_NEAR(got.decode_token_ms, want.decode_token_ms, tolerance * want.decode_token_ms);
  EXPECT_NEAR(got.decode_kv_token_ms, want.decode_kv_token_ms, tolerance * want.decode_kv_token_ms);
  EXPECT_NEAR(got.prefill_kv_pair_ms, want.prefill_kv_pair_ms, tolerance * want.prefill_kv_pair_ms);
}

TEST(CostModel, FitsWhatProbesFollow) {
  expect_near(CostModel::fit(probes()).costs(), kTrue, 0.01);
}

TEST(CostModel, KnowsNothingBeforeItSawEnough) {
  CostModel m;
  EXPECT_FALSE(m.costs().known());
  StepWork w;
  w.add_decode(10);
  for (int i = 0; i < 15; ++i) m.observe(w, 4.0);
  EXPECT_FALSE(m.costs().known());
  m.observe(w, 4.0);
  EXPECT_NEAR(m.costs().predict_ms(w), 4.0, 0.01);
  m.observe(w, 0.0);  // a clock that stands still says nothing
  m.observe(w, std::nan(""));
  EXPECT_NEAR(m.costs().predict_ms(w), 4.0, 0.01);
}

TEST(CostModel, FollowsAMachineThatBecomesTwiceAsSlow) {
  Rng rng(1);
  CostModel m = CostModel::fit(probes());
  for (int i = 0; i < 600; ++i) {
    const StepWork w = random_work(rng);
    m.observe(w, 2 * kTrue.predict_ms(w));
  }
  for (int i = 0; i < 50; ++i) {
    const StepWork w = random_work(rng);
    EXPECT_NEAR(m.costs().predict_ms(w), 2 * kTrue.predict_ms(w), 0.2 * kTrue.predict_ms(w));
  }
}

TEST(CostModel, RareStallsHardlyCount) {
  Rng rng(2);
  CostModel m = CostModel::fit(probes());
  for (int i = 0; i < 1000; ++i) {
    const StepWork w = random_work(rng);
    const double noise = 0.95 + 0.1 * static_cast<double>(rng.below(1000)) / 1000;
    m.observe(w, kTrue.predict_ms(w) * noise * (i % 25 == 24 ? 20 : 1));
    EXPECT_GE(m.costs().fixed_ms, 0);
    EXPECT_GE(m.costs().prefill_kv_pair_ms, 0);
  }
  for (int i = 0; i < 50; ++i) {
    const StepWork w = random_work(rng);
    EXPECT_NEAR(m.costs().predict_ms(w), kTrue.predict_ms(w), 0.2 * kTrue.predict_ms(w));
  }
}

TEST(CostModel, NoiseDoesNotMakeAPromptFree) {
  CostModel m = CostModel::fit(probes());
  StepWork decodes;
  for (int i = 0; i < 8; ++i) decodes.add_decode(50);
  StepWork beside = decodes;
  beside.add_prefill(0, 8);
  // Decodes were slow for a while, steps with a prompt were not.
  for (int i = 0; i < 100; ++i) m.observe(decodes, 4 * kTrue.predict_ms(decodes));
  for (int i = 0; i < 10; ++i) m.observe(beside, kTrue.predict_ms(beside));
  EXPECT_GE(m.costs().prefill_token_ms, 0.25 * kTrue.prefill_token_ms * 0.99);
}

TEST(CostModel, WhatRecentStepsDoNotShowStaysAsFitted) {
  CostModel m = CostModel::fit(probes());
  StepWork decodes;
  for (int i = 0; i < 8; ++i) decodes.add_decode(500);
  for (int i = 0; i < 2000; ++i) m.observe(decodes, kTrue.predict_ms(decodes));
  EXPECT_NEAR(m.costs().prefill_token_ms, kTrue.prefill_token_ms, 0.02);
  EXPECT_NEAR(m.costs().predict_ms(decodes), kTrue.predict_ms(decodes), 0.1);
}

TEST(CostModel, TheTokensThatFitATimeFitItAndOneMoreDoesNot) {
  for (const int64_t position : {0, 17, 5000}) {
    for (const double ms : {0.5, 3.0, 77.0, 5000.0}) {
      const int64_t n = kTrue.prefill_tokens_within(ms, position);
      EXPECT_LE(kTrue.prefill_ms(position, n), ms * 1.0001);
      EXPECT_GT(kTrue.prefill_ms(position, n + 1), ms);
    }
  }
  EXPECT_EQ(kTrue.prefill_tokens_within(-1, 0), 0);
  EXPECT_GT(StepCosts{}.prefill_tokens_within(1, 0), 1'000'000);
}

// Virtual time in which a step takes what kTrue says.
TEST(Calibration, RecoversTheCostsOfARunnerWithinItsBudget) {
  ManualClock clock;
  FakeRunner runner({.context = 2048, .step_tokens = 256, .page_tokens = 32, .pages = 80});
  runner.before = [&](std::span<const model::Chunk> batch) -> Status {
    StepWork w;
    for (const model::Chunk& c : batch) {
      EXPECT_LE(c.position + static_cast<int32_t>(c.tokens.size()),
                static_cast<int32_t>(c.pages.size()) * 32);
      const auto n = static_cast<int64_t>(c.tokens.size());
      n == 1 ? w.add_decode(c.position + 1) : w.add_prefill(c.position, n);
    }
    clock.advance_ms(kTrue.predict_ms(w));
    return {};
  };
  const auto c = calibrate(runner, clock, {.budget_ms = 1000});
  ASSERT_TRUE(c.ok());
  EXPECT_LE(c->took_ms, 1000);
  expect_near(c->model.costs(), kTrue, 0.02);

  const auto hasty = calibrate(runner, clock, {.budget_ms = 1});
  ASSERT_TRUE(hasty.ok());
  EXPECT_LT(hasty->took_ms, 40) << "one decode and one short prompt, no more";
  EXPECT_TRUE(hasty->model.costs().known());
}

TEST(Calibration, TakesTheSmallestRunnerThereIs) {
  ManualClock clock;
  FakeRunner runner({.context = 4, .step_tokens = 1, .page_tokens = 4, .pages = 1});
  runner.before = [&](std::span<const model::Chunk> batch) -> Status {
    for (const model::Chunk& c : batch) EXPECT_LE(c.position + c.tokens.size(), 4U);
    clock.advance_ms(1);
    return {};
  };
  ASSERT_TRUE(calibrate(runner, clock).ok());
  FakeRunner encoder({});
  encoder.traits = {4, model::Pooling::kMean, true};
  const auto none = calibrate(encoder, clock);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(encoder.calls, 0U);
}

}  // namespace
}  // namespace weir::engine
