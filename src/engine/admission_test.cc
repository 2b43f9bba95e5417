#include "engine/admission.h"

#include <gtest/gtest.h>

#include <random>

namespace weir::engine {
namespace {

// A server that computes a prompt token in one millisecond.
EngineLoad one_token_a_millisecond() {
  EngineLoad load;
  load.budget.costs.prefill_token_ms = 1.0;
  return load;
}

TEST(Admission, WaitsForWhatIsAheadAndForItself) {
  TenantLoads tenants;
  tenants["other"].backlog_tokens[0] = 300;
  tenants["other"].queued_requests = 1;
  const Prediction p = predict_first_token(one_token_a_millisecond(), tenants, Fairness::kFifo,
                                           {"mine", 1.0, {}, 100});
  EXPECT_EQ(p.ahead_tokens, 300);
  EXPECT_NEAR(p.wait_ms, 300, 3);
  EXPECT_NEAR(p.ttft_ms, 400, 4);
}

TEST(Admission, WhatIsCachedIsNotWaitedFor) {
  EngineLoad load = one_token_a_millisecond();
  load.cached_share = 0.75;
  EXPECT_NEAR(predict_first_token(load, {}, Fairness::kFifo, {"mine", 1.0, {}, 400}).ttft_ms, 100,
              2);
}

TEST(Correction, LearnsHowShortPredictionsAre) {
  Correction c;
  for (int i = 0; i < 100; ++i) c.learn(1000, 1500);
  EXPECT_NEAR(c.mean(), 1.5, 0.01);
  EXPECT_NEAR(c.high(), 1.5, 0.01);
  for (int i = 0; i < 64; ++i) c.learn(1000, 800);
  EXPECT_NEAR(c.mean(), 0.8, 0.01);
  EXPECT_NEAR(c.high(), 0.8, 0.01) << "what was learned is unlearned";
}

// Of what is promised by the high correction, nearly all comes true, and not by promising nothing.
TEST(Correction, AllButAFewComeWithinTheHighOne) {
  Correction c;
  std::mt19937 random(1);
  std::lognormal_distribution<double> off(0.1, 0.2);
  int within = 0;
  double sum = 0;
  constexpr int kWarmUp = 200;
  constexpr int kCount = 5000;
  for (int i = 0; i < kWarmUp + kCount; ++i) {
    const double ratio = off(random);
    if (i >= kWarmUp) {
      within += ratio <= c.high() ? 1 : 0;
      sum += c.high();
    }
    c.learn(1000, 1000 * ratio);
  }
  EXPECT_NEAR(static_cast<double>(within) / kCount, 0.955, 0.02);  // 62 of 65
  EXPECT_LT(sum / kCount, 1.8);
}

TEST(Correction, OneThatWentWrongDoesNotCloseTheDoor) {
  Correction c;
  c.learn(1000, 1e9);
  c.learn(1000, 1e9);
  EXPECT_LT(c.high(), 1.45);
  c.learn(1, 1e9);  // too short to say anything
  EXPECT_LT(c.high(), 1.45);
  for (int i = 0; i < 1000; ++i) c.learn(1000, 1e9);
  EXPECT_LE(c.high(), 3.0);
}

}  // namespace
}  // namespace weir::engine
