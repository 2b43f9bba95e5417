#include "ops/plan/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/plan/plan_report.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ValidatedLoad load(double others, double drift) {
  ValidatedLoad out;
  out.others_cores = others;
  out.drift = drift;
  out.predicted = {110, 200, 10, 20, 50};
  out.measured = {100, 400, 10, 0, 40};
  return out;
}

TEST(Validation, WhatDisturbsMostCounts) {
  EXPECT_DOUBLE_EQ(load(0, 0).disturbance(), 0);
  EXPECT_DOUBLE_EQ(load(kDisturbedCores, 0).disturbance(), 1);
  EXPECT_DOUBLE_EQ(load(kDisturbedCores, 2 * kDisturbedDrift).disturbance(), 2);
}

TEST(Validation, ErrorsAreSharesOfWhatWasMeasured) {
  EXPECT_THAT(prediction_errors(load(0, 0)),
              ElementsAre(::testing::DoubleNear(0.1, 1e-9), 0.5, 0, 0.25));
}

TEST(Validation, ADisturbedLoadSaysSo) {
  Validation v;
  v.loads = {load(0.01, 0.02)};
  EXPECT_THAT(validation_text(v), Not(HasSubstr("disturbed")));
  v.loads[0].others_cores = 0.5;
  v.loads[0].attempts = 4;
  EXPECT_THAT(validation_text(v),
              HasSubstr("disturbed, in the quietest of 4 attempts: others on the machine had 0.50 "
                        "of the engine's cores, what it carries changed by 2 %"));
}

}  // namespace
}  // namespace weir::ops
