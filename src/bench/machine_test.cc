#include "bench/machine.h"

#include <gtest/gtest.h>

#include <utility>

#include "bench/peak_loops.h"

namespace weir::bench {
namespace {

TEST(PeakFraction, PrefillIsSetAgainstOperationsDecodeAgainstTheNearerLimit) {
  const MachineLimits limits{.read_bytes_per_s = 100, .int8_ops_per_s = 1000};
  const ModelCost cost{10, 5, 20, 10, 4};
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, true, 1, 0, 10), 0.2);    // 2 * 10 * 10 of 1000
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, false, 1, 0, 2), 0.6);    // 30 bytes * 2 of 100
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, false, 10, 0, 20), 0.6);  // 2 * 15 * 20 of 1000
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, false, 1, 5, 1), 0.5);    // 30 + 4 * 5 bytes of 100
  EXPECT_DOUBLE_EQ(peak_fraction(limits, cost, false, 10, 5, 4), 0.92);  // 4 * (3 + 4 * 5) of 100
  EXPECT_EQ(peak_fraction({}, cost, false, 1, 5, 2), 0);
}

TEST(MeasureMachine, FindsLimitsOfAPlausibleSize) {
  const SystemClock clock;
  const MachineLimits limits = measure_machine(1, kernels::Isa::kScalar, os::detect_cpu(), clock);
  EXPECT_GT(limits.read_bytes_per_s, 1e8);
  EXPECT_LT(limits.read_bytes_per_s, 1e13);
  EXPECT_EQ(limits.int8_ops_per_s, 0);
  EXPECT_EQ(limits.f32_ops_per_s, 0);
  EXPECT_EQ(limits.bf16_ops_per_s, 0);
}

// The sum of all lanes tells that each chain did each round, with as many lanes as ops_a_round
// says.
TEST(PeakLoop, DoesTheOperationsThatItCounts) {
  const os::CpuFeatures features = os::detect_cpu();
  for (const kernels::Isa isa : kernels::present_isas(features)) {
    SCOPED_TRACE(kernels::isa_name(isa));
    for (const auto& [loop, a_pair] :
         {std::pair{int8_loop(isa), 3.0 * 5.0}, std::pair{f32_loop(isa), 0.5 * 0.25},
          std::pair{bf16_loop(isa, features), 0.5 * 0.25}}) {
      if (loop.run == nullptr) continue;
      const float added = loop.run(16) - loop.run(0);
      EXPECT_EQ(added, 16 * loop.ops_a_round / 2 * a_pair);
    }
  }
}

TEST(PeakLoop, Bf16NeedsTheInstruction) {
  EXPECT_EQ(bf16_loop(kernels::Isa::kAvx512, {}).run, nullptr);
  os::CpuFeatures features;
  features.avx512bf16 = true;
  EXPECT_EQ(bf16_loop(kernels::Isa::kAvx2, features).run, nullptr);
}

}  // namespace
}  // namespace weir::bench
