#include "gateway/cascade_plan.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

CascadeConfig three() {
  CascadeConfig c;
  for (const char* model : {"small", "mid", "large"}) c.steps.emplace_back().model = model;
  return c;
}

int64_t free_of_charge(size_t /*step*/) { return 0; }

TEST(CascadePlan, AsksInTurnAndTells) {
  const CascadeConfig c = three();
  CascadePlan plan(c, 0);
  EXPECT_EQ(plan.next(0, free_of_charge), 0U);
  plan.rejected("regex");
  EXPECT_EQ(plan.next(0, free_of_charge), 1U);
  plan.failed("upstream_timeout");
  EXPECT_EQ(plan.next(0, free_of_charge), 2U);
  plan.accepted();
  EXPECT_EQ(plan.told(), "small:rejected(regex),mid:failed(upstream_timeout),large:accepted");
  EXPECT_EQ(plan.next(0, free_of_charge), std::nullopt);
}

TEST(CascadePlan, MoneyCountsWhatTheNextStepWillCost) {
  CascadeConfig c = three();
  c.max_cost_nanos = 100;
  const auto ten_times = [](size_t step) { return step == 2 ? int64_t{50} : int64_t{10}; };
  CascadePlan plan(c, 0);
  EXPECT_EQ(plan.next(0, [](size_t) { return int64_t{1'000}; }), 0U) << "the first one is asked";
  plan.spend(40);
  plan.rejected("schema");
  EXPECT_EQ(plan.next(0, ten_times), 1U);
  plan.spend(10);
  plan.rejected("schema");
  EXPECT_EQ(plan.next(0, ten_times), 2U) << "50 spent and 50 to come";
  CascadePlan dear(c, 0);
  dear.next(0, ten_times);
  dear.spend(91);
  dear.rejected("schema");
  EXPECT_EQ(dear.next(0, ten_times), std::nullopt);
  EXPECT_EQ(dear.next(0, ten_times), std::nullopt);
  EXPECT_EQ(dear.told(), "small:rejected(schema),mid:skipped(max_cost)");
}

TEST(CascadePlan, TimeEndsStepsAndTheCascade) {
  CascadeConfig c = three();
  c.max_latency_ms = 100;
  CascadePlan plan(c, 1'000 * kMs);
  const Deadline request{.at_ns = 5'000 * kMs, .client_ms = 4'000};
  EXPECT_EQ(plan.next(1'000 * kMs, free_of_charge), 0U);
  EXPECT_EQ(plan.deadline(request).at_ns, 5'000 * kMs) << "of the first one: the request's own";
  plan.rejected("judge");
  EXPECT_EQ(plan.next(1'099 * kMs, free_of_charge), 1U);
  EXPECT_EQ(plan.deadline(request).at_ns, 1'100 * kMs);
  EXPECT_FALSE(plan.deadline(request).of_client());
  EXPECT_EQ(plan.deadline({}).at_ns, 1'100 * kMs);
  EXPECT_EQ(plan.deadline({.at_ns = 1'050 * kMs, .client_ms = 50}).at_ns, 1'050 * kMs);
  plan.rejected("judge");
  EXPECT_EQ(plan.next(1'100 * kMs, free_of_charge), std::nullopt);
  EXPECT_EQ(plan.told(), "small:rejected(judge),mid:rejected(judge),large:skipped(max_latency)");
}

}  // namespace
}  // namespace weir::gateway
