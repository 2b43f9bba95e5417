#include "ops/plan/plan_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/data/models.h"
#include "ops/plan/plan_lists.h"
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
  EXPECT_THAT(plan_text(r), HasSubstr("cannot to"));
}

// Worst first in every row, and no exponents.
TEST(PlanReport, RangesGoFromThePessimisticToTheOptimisticEnd) {
  PlanReport r;
  r.request = request();
  r.plan.accelerator_name = "x";
  r.plan.memory.fits = true;
  r.plan.workload = r.request.workload;
  r.plan.slo = r.request.slo;
  r.plan.low_alone = LoadPoint{.ttft_ms_p50 = 24080, .itl_ms_p50 = 49.56};
  r.plan.high_alone = LoadPoint{.ttft_ms_p50 = 12345.6, .itl_ms_p50 = 30.74};
  r.plan.high = LoadPoint{.rate_per_s = 0.096, .ttft_ms_p95 = 30000};
  r.plan.replicas_low = 209;
  const std::string text = plan_text(r);
  EXPECT_THAT(text, HasSubstr(" pessimistic to optimistic end"));
  EXPECT_THAT(text, HasSubstr("24080 to 12346"));
  EXPECT_THAT(text, HasSubstr("49.56 to 30.74"));
  EXPECT_THAT(text, HasSubstr("cannot to 0.096"));
  EXPECT_THAT(text, HasSubstr("spare: cannot to 209"));
  EXPECT_THAT(text, Not(HasSubstr("e+")));
}

TEST(PlanReport, SaysWhyARequestDoesNotFit) {
  PlanReport r;
  r.request = request();
  r.plan.memory.kv_tokens = 3326;
  r.plan.memory.longest_tokens = 7300;
  const std::string text = plan_text(r);
  EXPECT_THAT(text, HasSubstr("does not fit: a request has 7300 tokens"));
  EXPECT_THAT(text, HasSubstr("holds 3326"));
}

TEST(PlanReport, WithoutObjectivesNothingIsInTheSlo) {
  PlanReport r;
  r.request = request();
  r.plan.memory.fits = true;
  r.plan.low = r.plan.high = LoadPoint{.rate_per_s = 3};
  const std::string text = plan_text(r);
  EXPECT_THAT(text, HasSubstr("most load that a replica carries"));
  EXPECT_THAT(text, HasSubstr("no objective is given (slo.ttft_ms_p95"));
  EXPECT_THAT(text, Not(HasSubstr("in the SLO")));
}

TEST(PlanReport, MachinesThatAreTooFewAreSaid) {
  PlanReport r;
  r.request = request();
  r.request.machine_devices = 16;
  r.plan.memory.fits = true;
  r.plan.low = r.plan.high = LoadPoint{.rate_per_s = 3};
  r.plan.tensor_parallel = 4;
  r.plan.replicas_low = 3;
  r.plan.replicas_high = 5;
  EXPECT_THAT(plan_text(r), HasSubstr("more than the machines have: 20 to 12 devices are needed"));
  EXPECT_TRUE(plan_report_json(r).find("machines")->find("exceeded")->as_bool());
  r.request.machine_devices = 20;
  EXPECT_THAT(plan_text(r), Not(HasSubstr("more than the machines have")));
  r.failure.emplace().spare_that_meets = 2;
  EXPECT_THAT(plan_text(r), HasSubstr("the SLO is missed; --spare 2 meets it"));
}

TEST(PlanReport, TheBestMeetsAtBothEndsWithTheFewestDevices) {
  const auto report = [](int devices, int low, int high) {
    PlanReport r;
    r.plan.memory.fits = low > 0;
    r.plan.tensor_parallel = devices;
    r.plan.replicas_low = low;
    r.plan.replicas_high = high;
    if (high > 0) r.plan.low = LoadPoint{};
    if (low > 0) r.plan.high = LoadPoint{};
    return r;
  };
  const std::vector<PlanReport> all = {report(1, 0, 0), report(2, 1, 0), report(4, 2, 3),
                                       report(8, 1, 1)};
  EXPECT_EQ(best_plan(all), &all[3]);
  EXPECT_EQ(best_plan(std::span(all).first(3)), &all[2]);
  EXPECT_EQ(best_plan(std::span(all).first(2)), &all[1]);
  EXPECT_EQ(best_plan(std::span(all).first(1)), nullptr);
}

TEST(PlanReport, TheHeadSaysWhatIsPlannedForAndFromWhere) {
  PlanRequest r = request();
  r.workload.mean_per_s = 5;
  r.from_intake = {"4 devices (stack.tensor_parallel)"};
  EXPECT_THAT(head_text(r), HasSubstr("20 requests/s at the peak (5 on average)"));
  EXPECT_THAT(head_text(r), HasSubstr("From the intake: 4 devices (stack.tensor_parallel)."));
  r.fitted = {Efficiency(), Efficiency()};
  r.assumed_ends = 0.25;
  EXPECT_THAT(head_text(r), HasSubstr("+- 25 %, which is assumed"));
  r.fitted_devices = -1;
  EXPECT_THAT(head_text(r), HasSubstr("hypothesis: the fit is of another model"));
}

TEST(PlanReport, WhatIsNotKnownIsADash) {
  const auto accelerators = load_accelerators();
  SearchFound f;
  f.accelerator = accelerators->find("nvidia-h100-sxm");
  f.engine = "any";
  const std::string row = search_text({.found = {f}, .tried = 1}, 5);
  EXPECT_THAT(row, HasSubstr("        -        -  any"));
  const std::string list = accelerators_text(*accelerators);
  EXPECT_THAT(list, HasSubstr("     - GB"));
  EXPECT_THAT(list, Not(HasSubstr("     0 ")));
  const text::Json json = accelerators_json(*accelerators);
  for (const text::Json& a : json.items()) {
    if (a.find("id")->as_string() != "nvidia-h100-sxm") continue;
    EXPECT_EQ(a.find("memory_gb")->as_double(), 80);
    EXPECT_GT(a.find("dense_tflops")->find("bf16")->as_double(), 900);
    EXPECT_EQ(a.find("released")->as_string(), f.accelerator->released);
  }
  const auto models = built_in_models();
  EXPECT_GT(models_json(*models).items()[0].find("memory_gb")->as_double(), 10);
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
