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

TEST(Admission, LearnsHowShortPredictionsAre) {
  EngineLoad load;
  for (int i = 0; i < 200; ++i) learn(load, 1000, 1500);
  EXPECT_NEAR(load.correction, 1.5, 0.01);
  EXPECT_GE(load.high_correction, load.correction);
  for (int i = 0; i < 2000; ++i) learn(load, 1000, 800);
  EXPECT_NEAR(load.correction, 0.8, 0.01);
  EXPECT_NEAR(load.high_correction, 0.8, 0.1) << "what was learned is unlearned";
}

// Of what is promised by the high correction, as many come true as were to.
TEST(Admission, AllButAFewComeWithinTheHighCorrection) {
  EngineLoad load;
  std::mt19937 random(1);
  std::lognormal_distribution<double> off(0.1, 0.2);
  int within = 0;
  double sum = 0;
  constexpr int kWarmUp = 200;
  constexpr int kCount = 5000;
  for (int i = 0; i < kWarmUp + kCount; ++i) {
    const double ratio = off(random);
    if (i >= kWarmUp) {
      within += ratio <= load.high_correction ? 1 : 0;
      sum += load.high_correction;
    }
    learn(load, 1000, 1000 * ratio);
  }
  EXPECT_NEAR(static_cast<double>(within) / kCount, kWithin, 0.02);
  EXPECT_LT(sum / kCount, 1.8) << "and not by promising nothing";
}

TEST(Admission, OneThatWentWrongDoesNotCloseTheDoor) {
  EngineLoad load;
  learn(load, 1000, 1e9);
  EXPECT_LT(load.high_correction, 1.25);
  learn(load, 1, 1e9);  // too short to say anything
  EXPECT_LT(load.high_correction, 1.25);
  for (int i = 0; i < 1000; ++i) learn(load, 1000, 1e9);
  EXPECT_LE(load.high_correction, 3.0);
}

}  // namespace
}  // namespace weir::engine
