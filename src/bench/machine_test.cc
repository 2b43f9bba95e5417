#include "bench/machine.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

TEST(PeakFraction, PrefillIsSetAgainstOperationsDecodeAgainstTheNearerLimit) {
  const MachineLimits limits{100, 1000};
  const ModelCost cost{10, 5, 20, 10};
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, true, 1, 10), 0.2);    // 2 * 10 * 10 of 1000
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, false, 1, 2), 0.6);    // 30 bytes * 2 of 100
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, false, 10, 20), 0.6);  // 2 * 15 * 20 of 1000
  EXPECT_EQ(peak_fraction({}, cost, false, 1, 2), 0);
}

TEST(MeasureMachine, FindsLimitsOfAPlausibleSize) {
  const SystemClock clock;
  const MachineLimits limits = measure_machine(1, kernels::Isa::kScalar, clock);
  EXPECT_GT(limits.read_bytes_per_s, 1e8);
  EXPECT_LT(limits.read_bytes_per_s, 1e13);
  EXPECT_EQ(limits.int8_ops_per_s, 0);
}

}  // namespace
}  // namespace weir::bench
