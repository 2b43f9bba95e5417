#include "ops/plan/plan_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/data/models.h"
#include "ops/plan/what_if.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

PlanRequest request() {
  static const auto accelerators = load_accelerators();
  static const auto models = built_in_models();
  PlanRequest r;
  for (const KnownModel& m : *models) {
    if (m.id == "llama-3.1-8b") r.shape = *shape_of(m);
  }
  r.model_source = "llama-3.1-8b";
  r.device = accelerators->find("nvidia-h100-sxm");
  r.workload = {500, 2000, 200, 600, 20.0, 1.0, 0.2, 8192};
  r.slo = {1000, 60, 0};
  r.requests = 300;
  return r;
}

TEST(WhatIf, SetsWhatIsNamed) {
  const auto changed = what_if(request(), "devices=4,weight-bits=8,kv-type=fp8,ttft-ms=250");
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_EQ(changed->devices, 4);
  EXPECT_EQ(changed->shape.precision, "fp8");
  EXPECT_EQ(changed->kv_element_bytes, 1);
  EXPECT_EQ(changed->slo.ttft_ms_p95, 250);
}

// Weights of 4 bits are multiplied in 16 unless the kernels take fewer: where prefill bounds the
// load, 4 bits with 16-bit arithmetic carry less than 8 with FP8, and that is said.
TEST(WhatIf, ArithmeticIsThatOfTheActivations) {
  PlanRequest r = request();
  r.workload = {4000, 8000, 20, 60, 5.0, 1.0, 0, 16384};
  r.slo = {4000, 200, 0};
  const auto most = [&](const char* changes, const char* arithmetic) {
    const auto changed = what_if(r, changes);
    EXPECT_TRUE(changed.ok()) << changed.error().message;
    const auto plan = make_plan(*changed);
    EXPECT_TRUE(plan.ok() && plan->low.most) << changes;
    EXPECT_EQ(plan->compute_type, arithmetic) << changes;
    PlanReport report;
    report.request = *changed;
    report.plan = plan_file(*changed, *plan, "2026-11-30");
    const bool expanded = std::string_view(arithmetic) == "bf16" && report.plan.bits_per_weight < 9;
    EXPECT_EQ(plan_text(report).find("are expanded and multiplied in bf16") != std::string::npos,
              expanded);
    return plan->low.most->rate_per_s;
  };
  const double sixteen = most("devices=1", "bf16");
  const double four = most("weight-bits=4.5", "bf16");
  const double eight = most("weight-bits=8", "fp8");
  EXPECT_LT(four, 0.75 * eight);
  EXPECT_GT(most("weight-bits=4.5,activations=fp8", "fp8"), 1.3 * four);
  EXPECT_LT(most("weight-bits=8,activations=bf16", "bf16"), 0.75 * eight);
  EXPECT_GT(four, 0.8 * sixteen);
  EXPECT_EQ(most("weight-bits=4.5,activations=fp4", "bf16"), four);  // H100 has no FP4
}

TEST(WhatIf, NamesWhatIsWrong) {
  const auto message = [](const char* changes) {
    const auto r = what_if(request(), changes);
    return r.ok() ? std::string() : r.error().message;
  };
  EXPECT_THAT(message("device=4"), HasSubstr("the nearest is devices"));
  EXPECT_THAT(message("devices=2.5"), HasSubstr("must be an integer from 1 to 1024"));
  EXPECT_THAT(message("acceptance=nan"), HasSubstr("must be a number from 0 to 1"));
  EXPECT_THAT(message("acceptance=1.5"), HasSubstr("must be a number from 0 to 1"));
  EXPECT_THAT(message("devices"), HasSubstr("wants KEY=VALUE"));
  EXPECT_THAT(message("kv-type=f8"), HasSubstr("f16, fp8, q8, fp4"));
  EXPECT_THAT(message("activations=fp16"), HasSubstr("bf16, fp8, int8, fp4"));
  for (const std::string& key : what_if_keys())
    EXPECT_NE(message((key + "=-1").c_str()), "") << key;
}

TEST(PlanReport, SaysBothEndsAndDrawsThem) {
  PlanReport r;
  r.request = request();
  const auto plan = make_plan(r.request);
  ASSERT_TRUE(plan.ok() && plan->low.most && plan->high.most);
  r.plan = plan_file(r.request, *plan, "2026-11-30");
  const auto device = plan_device(r.request);
  const EfficiencyRange range = efficiency_range(r.request);
  const ReplicaTrial low(r.request, *device, range.low);
  r.low_curve = *load_curve(low, plan->low.alone, plan->low.most);
  r.high_curve = r.low_curve;
  EXPECT_FALSE(r.low_curve.back().meets_slo);  // it ends beyond what is carried
  EXPECT_THAT(plan_text(r), HasSubstr("replicas for 20 requests/s, 1 of them spare"));
  const std::string page = plan_html({r}, nullptr);
  EXPECT_THAT(page, HasSubstr("<h1>Plan: "));
  EXPECT_THAT(page, HasSubstr("pessimistic end"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  // An end that misses the SLO is said, not shown as 0.
  r.plan.low.reset();
  r.plan.replicas_high = 0;
  EXPECT_THAT(plan_text(r), HasSubstr("to cannot"));
}

// However long requests may wait, what comes out bounds what goes in.
TEST(Plan, ALooseObjectiveDoesNotMakeALoadThatIsNotCarried) {
  PlanRequest r = request();
  r.requests = 2000;
  const auto tight = make_plan(r);
  r.slo = {600'000, 0, 0};
  const auto loose = make_plan(r);
  ASSERT_TRUE(tight.ok() && loose.ok() && tight->high.most && loose->high.most);
  EXPECT_GE(loose->high.most->rate_per_s, tight->high.most->rate_per_s);
  EXPECT_LT(loose->high.most->rate_per_s, 3 * tight->high.most->rate_per_s);
}

}  // namespace
}  // namespace weir::ops
