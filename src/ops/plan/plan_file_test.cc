#include "ops/plan/plan_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ops/data/models.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;
using text::Json;

PlanFile some_plan() {
  static const auto accelerators = load_accelerators();
  const auto models = built_in_models();
  PlanRequest r;
  for (const KnownModel& m : *models) {
    if (m.id == "llama-3.1-8b") r.shape = *shape_of(m);
  }
  r.model_source = "llama-3.1-8b";
  r.device = accelerators->find("nvidia-h100-sxm");
  r.workload = {500, 2000, 200, 600, 20.0, 1.0, 0.2, 8192};
  r.slo = {1000, 60, 0};
  r.requests = 300;
  const auto plan = make_plan(r);
  EXPECT_TRUE(plan.ok());
  PlanFile p = plan_file(r, *plan, "2026-11-30");
  p.disaggregation = PlanDisaggregation{2, 3};
  p.autoscaling = PlanAutoscaling{1, 9, 4.5, 90};
  return p;
}

TEST(PlanFile, IsReadBackAsWritten) {
  const Json written = plan_file_json(some_plan());
  const auto read = parse_plan_file(written.dump());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(plan_file_json(*read).dump(), written.dump());
  EXPECT_EQ(read->disaggregation->decode_replicas, 3);
  EXPECT_GT(read->replicas_high, read->replicas_low - 1);
  EXPECT_GT(read->low->rate_per_s, 0);
  // What arrives in a second of the pessimistic end's load, but for one second in a hundred.
  const double mean = read->low->rate_per_s;
  EXPECT_NEAR(static_cast<double>(read->max_queued), mean + 2.33 * std::sqrt(mean), 2);
}

TEST(PlanFile, AFewMayWaitHoweverSmallTheLoad) {
  Plan plan;
  PlanRequest r;
  static const auto accelerators = load_accelerators();
  r.device = accelerators->find("nvidia-h100-sxm");
  r.slo = {1000, 0, 0};
  plan.low.most = LoadPoint{.rate_per_s = 0.05};
  EXPECT_EQ(plan_file(r, plan, "2026-11-30").max_queued, 4);
  plan.low.most->rate_per_s = 5;
  EXPECT_EQ(plan_file(r, plan, "2026-11-30").max_queued, 11);
}

TEST(PlanFile, SaysWhatItIsFor) {
  PlanFile p = some_plan();
  p.workload.mean_per_s = 5;
  const Json j = plan_file_json(p);
  EXPECT_EQ(j.find("workload")->find("requests_per_s")->as_double(), 5);
  EXPECT_EQ(j.find("workload")->find("rate_per_s")->as_double(), 20);
  const auto read = parse_plan_file(j.dump());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->workload.rate_per_s, 20);
  EXPECT_EQ(read->workload.mean_rate(), 5);
}

// No engine starts with a context that its cache does not hold.
TEST(PlanFile, TheLongestRequestIsOneThatTheCacheHolds) {
  static const auto accelerators = load_accelerators();
  PlanRequest r;
  r.device = accelerators->find("nvidia-h100-sxm");
  r.workload.context_tokens = 131072;
  Plan plan;
  plan.memory.fits = true;
  plan.memory.kv_tokens = 50'000;
  EXPECT_EQ(plan_file(r, plan, "").context_tokens, 50'000);
  plan.memory.kv_tokens = 500'000;
  EXPECT_EQ(plan_file(r, plan, "").context_tokens, 131072);
}

TEST(PlanFile, CutAnywhereItIsRefused) {
  const std::string all = plan_file_json(some_plan()).dump();
  for (size_t i = 0; i < all.size(); ++i) ASSERT_FALSE(parse_plan_file(all.substr(0, i)).ok()) << i;
}

// Every field, in turn, is taken away and then given a wrong type.
void spoil(const Json& whole, Json& part, const std::string& path) {
  for (auto& [name, value] : part.members()) {
    const std::string here = path.empty() ? name : path + "." + name;
    if (value.is_object()) {
      spoil(whole, value, here);
      continue;
    }
    const Json kept = value;
    value = Json::array();
    const auto read = parse_plan_file(whole.dump());
    EXPECT_FALSE(read.ok()) << here;
    if (!read.ok() && here != "schema") {
      EXPECT_THAT(read.error().message, HasSubstr(here));
    }
    value = kept;
  }
}

TEST(PlanFile, NamesTheFieldThatIsWrong) {
  Json whole = plan_file_json(some_plan());
  spoil(whole, whole, "");
  whole.set("tensor_parallel", 0);
  const auto read = parse_plan_file(whole.dump());
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr("tensor_parallel must be 1 at least"));
}

}  // namespace
}  // namespace weir::ops
