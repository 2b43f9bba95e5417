#include "ops/plan/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ops/data/models.h"
#include "ops/plan/plan_sensitivity.h"
#include "ops/plan/search.h"

namespace weir::ops {
namespace {

const Accelerators& accelerators() {
  static const auto all = load_accelerators();
  return *all;
}

PlanRequest llama8b(double rate) {
  static const auto models = built_in_models();
  PlanRequest r;
  for (const KnownModel& m : *models) {
    if (m.id == "llama-3.1-8b") r.shape = *shape_of(m);
  }
  r.device = accelerators().find("nvidia-h100-sxm");
  r.workload = {1000, 3000, 200, 600, rate, 1.0, 0, 8192};
  r.slo = {1500, 60, 0};
  r.requests = 300;
  return r;
}

Efficiency mid(const PlanRequest& r) { return middle(efficiency_range(r)); }

TEST(Fleet, PrefillAndDecodeApartMeetTheSlo) {
  const PlanRequest r = llama8b(40);
  const auto device = plan_device(r);
  const auto fleet = plan_disaggregated(r, *device, mid(r), 25e9);
  ASSERT_TRUE(fleet.ok()) << fleet.error().message;
  ASSERT_TRUE(fleet->has_value());
  const DisaggregatedFleet& f = **fleet;
  EXPECT_GE(f.prefill_replicas, 1);
  EXPECT_GE(f.decode_replicas, 1);
  EXPECT_TRUE(f.load.meets_slo) << f.load.ttft_ms_p95 << " " << f.load.itl_ms_p95;
  // 1000 tokens of 131,072 bytes over 25 GB/s, and the latency.
  EXPECT_NEAR(f.transfer_ms, 2 + 131.072 / 25, 0.01);
  // A link that cannot carry what is prefilled: 131 MB a median prompt, 40 a second.
  const auto narrow = plan_disaggregated(r, *device, mid(r), 0.2e9);
  ASSERT_TRUE(narrow.ok() && narrow->has_value());
  EXPECT_FALSE((*narrow)->load.meets_slo);
  // An objective for the first token that nothing reaches.
  PlanRequest hard = r;
  hard.slo.ttft_ms_p95 = 0.1;
  const auto none = plan_disaggregated(hard, *device, mid(r), 25e9);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
}

TEST(Fleet, AutoscalingSavesReplicasAndMeetsTheSlo) {
  PlanRequest r = llama8b(30);
  r.spare_replicas = 0;
  const auto device = plan_device(r);
  const ReplicaTrial trial(r, *device, mid(r));
  const auto alone = trial.alone();
  const auto most = trial.most(*alone);
  ASSERT_TRUE(most.ok() && most->has_value());
  const int replicas = 1 + static_cast<int>(std::ceil(30 / (*most)->rate_per_s));
  AutoscaleQuestion q;
  q.period_s = 240;
  q.cold_start_s = 5;
  const auto fleet = plan_autoscaling(r, trial, replicas, q);
  ASSERT_TRUE(fleet.ok()) << fleet.error().message;
  if (fleet->has_value()) {
    EXPECT_LE((*fleet)->replica_share, 1.0);
    EXPECT_TRUE((*fleet)->load.meets_slo);
    EXPECT_LE((*fleet)->rule.least, (*fleet)->rule.most);
    EXPECT_EQ((*fleet)->rule.most, replicas);
  }
  // A start that takes longer than the load's rise cannot help an objective this hard.
  q.cold_start_s = 1e6;
  PlanRequest hard = r;
  hard.slo = {(*alone).ttft_ms_p95 * 1.2, 60, 0};
  const ReplicaTrial strict(hard, *device, mid(r));
  const auto none = plan_autoscaling(hard, strict, replicas, q);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
}

TEST(Fleet, AFailedReplicaIsFelt) {
  const PlanRequest r = llama8b(30);
  const auto device = plan_device(r);
  const ReplicaTrial trial(r, *device, mid(r));
  const auto calm = plan_failure(r, trial, 3, 0);
  const auto hit = plan_failure(r, trial, 3, 20);
  ASSERT_TRUE(calm.ok() && hit.ok());
  EXPECT_GT(hit->restarted, 0);
  EXPECT_GE(hit->load.ttft_ms_p95, calm->load.ttft_ms_p95);
}

TEST(Fleet, AFailureThatIsFeltHasARemedy) {
  PlanRequest r = llama8b(30);
  const auto device = plan_device(r);
  const auto hit = plan_failure(r, ReplicaTrial(r, *device, mid(r)), 3, 20);
  const auto eased = plan_failure(r, ReplicaTrial(r, *device, mid(r)), 5, 20);
  ASSERT_TRUE(hit.ok() && eased.ok());
  ASSERT_GT(hit->load.ttft_ms_p95, eased->load.ttft_ms_p95);
  r.slo = {(hit->load.ttft_ms_p95 + eased->load.ttft_ms_p95) / 2, 0, 0};
  const ReplicaTrial trial(r, *device, mid(r));
  const auto remedy = plan_failure_with_remedy(r, trial, 3, 20);
  ASSERT_TRUE(remedy.ok());
  EXPECT_FALSE(remedy->load.meets_slo);
  ASSERT_GE(remedy->spare_that_meets, 2);
  EXPECT_LE(remedy->spare_that_meets, 3);
  EXPECT_TRUE(plan_failure(r, trial, 2 + remedy->spare_that_meets, 20)->load.meets_slo);
}

TEST(PlanSensitivity, MoreWorkNeedsMoreDevices) {
  const auto s = plan_sensitivity(llama8b(20));
  ASSERT_TRUE(s.ok()) << s.error().message;
  EXPECT_GT(s->devices, 0);
  ASSERT_GE(s->bars.size(), 8U);
  for (const SensitivityBar& b : s->bars) {
    if (b.input == "requests a second") {
      EXPECT_NEAR(b.at_high / b.at_low, 1.5, 0.01);
    }
    if (b.input == "answer tokens") {
      EXPECT_GE(b.at_high, b.at_low);
    }
    if (b.input == "share of bandwidth reached") {
      EXPECT_LE(b.at_high, b.at_low);
    }
  }
  const auto swing = [](const SensitivityBar& b) { return std::fabs(b.at_high - b.at_low); };
  for (size_t i = 1; i < s->bars.size(); ++i) {
    if (s->bars[i - 1].at_low > 0 && s->bars[i - 1].at_high > 0) {
      EXPECT_GE(swing(s->bars[i - 1]), swing(s->bars[i]));
    }
  }
}

TEST(Search, TheFrontIsOfThoseThatNothingBeats) {
  const PlanRequest r = llama8b(10);
  SearchSpace space;
  for (const char* id : {"nvidia-h100-sxm", "nvidia-l4", "nvidia-a100-80gb-sxm"}) {
    const Accelerator* a = accelerators().find(id);
    if (a != nullptr) space.accelerators.push_back(a);
  }
  ASSERT_GE(space.accelerators.size(), 2U);
  space.devices = {1, 2, 3};  // 32 heads are not split over three
  space.weights = {{16, "bf16"}, {8, "fp8"}};
  space.engines = {{"any engine", mid(r)}};
  size_t calls = 0;
  const auto found = search_plans(r, space, [&](size_t, size_t) { ++calls; });
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(calls, found->tried);
  EXPECT_EQ(found->tried, found->found.size() + found->too_small + found->too_slow);
  ASSERT_FALSE(found->found.empty());
  size_t front = 0;
  const SearchFound* least = nullptr;
  for (const SearchFound& f : found->found) {
    front += f.on_power_front ? 1 : 0;
    EXPECT_TRUE(f.load.meets_slo);
    EXPECT_NE(f.devices, 3);
    EXPECT_GT(f.kw, 0);
    if (least == nullptr || f.kw < least->kw) least = &f;
  }
  EXPECT_GE(front, 1U);
  EXPECT_LT(front, found->found.size());
  EXPECT_TRUE(least->on_power_front);
}

}  // namespace
}  // namespace weir::ops
