#include "bench/report/sweep.h"

#include <gtest/gtest.h>

#include "bench/report/report.h"

namespace weir::bench {
namespace {

// A server of 100 tokens/s: throughput follows the load up to it, then latency explodes.
LoadSummary point(double load, double tokens_per_s, double p95_ms, double share) {
  LoadSummary s;
  s.label = fmt::format("rate {}", load);
  s.offered_per_s = load;
  s.requests = 100;
  s.output_tokens_per_s.value = tokens_per_s;
  s.ttft_ms.count = 100;
  s.ttft_ms.quantiles[2].value = p95_ms;
  s.goodput.share.value = share;
  s.goodput.met = share >= 0.95;
  return s;
}

TEST(Sweep, FindsTheKneeAndTheHighestLoadWithinTheSlo) {
  Slo slo;
  slo.ttft_ms = 500;
  const Report r =
      make_report({point(8, 99, 4000, 0.1), point(1, 20, 50, 1), point(2, 40, 55, 1),
                   point(4, 80, 90, 0.99), point(5, 95, 200, 0.91), point(6, 98, 1500, 0.5)},
                  slo, {}, "");
  ASSERT_EQ(r.runs.front().label, "rate 1");
  ASSERT_TRUE(r.sweep.knee.has_value());
  EXPECT_EQ(r.sweep.points[*r.sweep.knee].load, 5);
  ASSERT_TRUE(r.sweep.highest_within_slo.has_value());
  EXPECT_EQ(r.sweep.points[*r.sweep.highest_within_slo].load, 4);
  EXPECT_NEAR(r.sweep.slo_load, 4.5, 1e-9);  // half way from 0.99 to 0.91
  EXPECT_NE(r.sweep.note.find("Knee at rate 5"), std::string::npos) << r.sweep.note;
}

TEST(Sweep, AHigherLoadThatMetTheSloByLuckDoesNotCount) {
  Slo slo;
  slo.ttft_ms = 500;
  const Sweep s = find_sweep({point(1, 1, 1, 1), point(2, 2, 2, 0.9), point(3, 3, 3, 0.99)}, slo);
  EXPECT_EQ(s.points[*s.highest_within_slo].load, 1);
}

TEST(Sweep, SaysWhenThereIsNothingToFind) {
  Slo slo;
  slo.ttft_ms = 1;
  const Sweep none = find_sweep(
      {point(1, 10, 100, 0), point(2, 20, 200, 0), point(3, 30, 300, 0), point(4, 40, 400, 0)},
      slo);
  EXPECT_FALSE(none.knee.has_value());  // a straight line
  EXPECT_FALSE(none.highest_within_slo.has_value());
  EXPECT_EQ(none.slo_load, 0);
  EXPECT_NE(none.note.find("Not even the lowest"), std::string::npos);
  EXPECT_TRUE(find_sweep({point(1, 10, 100, 1)}, slo).points.empty());
}

TEST(Sweep, LoadsAreGeometric) {
  const std::vector<double> loads = sweep_loads(1, 16, 5);
  ASSERT_EQ(loads.size(), 5u);
  EXPECT_NEAR(loads[1], 2, 1e-9);
  EXPECT_NEAR(loads[4], 16, 1e-9);
  EXPECT_EQ(sweep_loads(3, 9, 1), std::vector<double>{3});
}

}  // namespace
}  // namespace weir::bench
