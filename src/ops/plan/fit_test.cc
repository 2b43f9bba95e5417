#include "ops/plan/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "ops/data/models.h"
#include "ops/plan/step_fit.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

PlanRequest request() {
  static const auto models = built_in_models();
  static const auto accelerators = load_accelerators();
  PlanRequest r;
  for (const KnownModel& m : *models) {
    if (m.id == "llama-3.1-8b") r.shape = *shape_of(m);
  }
  r.device = accelerators->find("nvidia-h100-sxm");
  r.workload.context_tokens = 8192;
  return r;
}

// Measurements that the simulation itself made: the fit finds what they were made with.
TEST(Fit, FindsTheEfficiencyBehindMeasurements) {
  PlanRequest r = request();
  const Efficiency truth{0.45, 0.7, 0.65, 3.0, 0.02};
  const auto device = plan_device(r);
  std::vector<Measurement> all;
  for (const double rate : {1.0, 6.0, 14.0}) {
    r.workload = {1000, 1050, 150, 157.5, rate, 1, 0, 8192};
    r.requests = 300;
    const auto p = ReplicaTrial(r, *device, truth).at(rate);
    ASSERT_TRUE(p.ok());
    all.push_back({"vllm", rate, 1000, 150, p->ttft_ms_p50, p->ttft_ms_p95, p->itl_ms_p50,
                   p->itl_ms_p95, false});
  }
  const auto fit = fit_efficiency(r, all);
  ASSERT_TRUE(fit.ok()) << fit.error().message;
  EXPECT_NEAR(fit->efficiency.compute, 0.45, 0.03);
  EXPECT_NEAR(fit->efficiency.memory, 0.7, 0.05);
  EXPECT_LT(fit->median_error, 0.03);
  EXPECT_LT(fit->low.compute, fit->efficiency.compute);
  EXPECT_GT(fit->high.memory, fit->low.memory);
  for (const FittedPoint& p : fit->points) EXPECT_GE(p.held_out_error, 0);
  EXPECT_FALSE(fit_efficiency(r, {}).ok());
  // And through its file into a plan.
  const std::string file = efficiency_fit_json(*fit).dump();
  const auto read = parse_efficiency_fit(file);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->low.memory, fit->low.memory);
  for (size_t i = 0; i < file.size(); ++i)
    ASSERT_FALSE(parse_efficiency_fit(file.substr(0, i)).ok());
}

// Nothing is held out of one load: the ends stay apart, and that is said.
TEST(Fit, OneLoadLeavesItsEndsToAnAssumption) {
  PlanRequest r = request();
  r.engine = "vllm";
  const auto fit = fit_efficiency(r, std::vector<Measurement>{{"vllm", 4, 500, 100, 40, 0, 9}});
  ASSERT_TRUE(fit.ok()) << fit.error().message;
  EXPECT_FALSE(fit->ends_held_out);
  EXPECT_EQ(fit->ends_by, 0.25);
  EXPECT_NEAR(fit->low.memory, fit->efficiency.memory / 1.25, 1e-9);
  EXPECT_EQ(fit->engine, "vllm");
  const auto read = parse_efficiency_fit(efficiency_fit_json(*fit).dump());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->engine, "vllm");
  EXPECT_EQ(read->ends_by, 0.25);
  ASSERT_TRUE(apply_fit(*read, false, r).ok());
  EXPECT_EQ(r.assumed_ends, 0.25);
}

TEST(Fit, IsOfItsModelAcceleratorAndDevices) {
  PlanRequest r = request();
  EfficiencyFit fit;
  fit.model = r.shape.name;
  fit.accelerator = "nvidia-h100-sxm";
  ASSERT_TRUE(apply_fit(fit, false, r).ok());
  EXPECT_TRUE(is_fitted(r));
  r.devices = 2;  // a what-if
  EXPECT_FALSE(is_fitted(r));
  const Status refused = apply_fit(fit, false, r);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("on 1 x nvidia-h100-sxm"));
  EXPECT_THAT(refused.error().message, HasSubstr("--force-efficiency"));
  ASSERT_TRUE(apply_fit(fit, true, r).ok());
  EXPECT_FALSE(is_fitted(r));
  fit.model = "another";
  EXPECT_FALSE(apply_fit(fit, false, r).ok());
}

TEST(Fit, AFileThatIsWrongNamesTheField) {
  EfficiencyFit fit;
  text::Json j = efficiency_fit_json(fit);
  j.find("low")->set("memory", 1.5);
  const auto read = parse_efficiency_fit(j.dump());
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr("low.memory must be a share above 0"));
}

TEST(Measurements, OfEachTool) {
  const auto vllm = parse_measurements(R"({"request_rate":4.0,"completed":100,
    "total_input_tokens":50000,"total_output_tokens":10000,"request_throughput":3.9,
    "median_ttft_ms":80,"p95_ttft_ms":200,"median_itl_ms":12,"p95_itl_ms":30})");
  ASSERT_TRUE(vllm.ok()) << vllm.error().message;
  EXPECT_EQ(vllm->front().prompt_tokens, 500);
  EXPECT_EQ(vllm->front().itl_ms_p95, 30);
  EXPECT_FALSE(vllm->front().closed);
  const auto guide = parse_measurements(R"({"benchmarks":[{"metrics":{
    "requests_per_second":{"successful":{"mean":2}},
    "prompt_token_count":{"successful":{"mean":256}},
    "output_token_count":{"successful":{"mean":64}},
    "time_to_first_token_ms":{"successful":{"median":50,"percentiles":{"p95":90}}},
    "inter_token_latency_ms":{"successful":{"median":9,"percentiles":{"p95":11}}}}}]})");
  ASSERT_TRUE(guide.ok()) << guide.error().message;
  EXPECT_EQ(guide->front().ttft_ms_p95, 90);
  EXPECT_EQ(guide->front().itl_ms_p95, 0);  // of means of requests: not of gaps
  const auto aiperf = parse_measurements(R"({"request_throughput":{"unit":"requests/sec","avg":13},
    "input_sequence_length":{"avg":550},"output_sequence_length":{"avg":97},
    "time_to_first_token":{"unit":"ms","avg":1588,"p50":787,"p95":4051},
    "inter_token_latency":{"unit":"ms","avg":51,"p50":52,"p95":54},
    "input_config":{"loadgen":{"concurrency":100}}})");
  ASSERT_TRUE(aiperf.ok()) << aiperf.error().message;
  EXPECT_TRUE(aiperf->front().closed);
  EXPECT_EQ(aiperf->front().itl_ms_p50, 52);
}

TEST(Measurements, WhatCannotBeUsedSaysWhy) {
  const auto message = [](const char* json) {
    const auto r = parse_measurements(json);
    return r.ok() ? std::string() : r.error().message;
  };
  EXPECT_THAT(message("{}"), HasSubstr("is no result of"));
  EXPECT_THAT(message(R"({"median_ttft_ms":80})"), HasSubstr("does not tell requests a second"));
  EXPECT_THAT(message(R"({"vllm":[]})"), HasSubstr("it has no run"));
  EXPECT_THAT(message(R"({"vllm":[{"request_throughput":1,"completed":1,"total_input_tokens":5,
    "total_output_tokens":5,"median_ttft_ms":8}]})"),
              HasSubstr("were answers streamed?"));
}

// A linear model, noise on it, and steps that another process held up.
TEST(StepFit, FindsTheCostsBehindNoise) {
  const engine::StepCosts truth{2, 0.5, 1.5, 0.001, 0};
  std::vector<engine::StepSample> samples;
  for (uint64_t i = 0; i < 3000; ++i) {
    engine::StepSample s;
    const auto decodes = static_cast<int64_t>(random_u64(1, 0, i) % 16);
    for (int64_t k = 0; k < decodes; ++k) s.work.add_decode(100 + 10 * k);
    if (i % 3 == 0 || decodes == 0)
      s.work.add_prefill(0, 1 + static_cast<int64_t>(random_u64(1, 1, i) % 200));
    s.ms = truth.predict_ms(s.work) * (0.95 + 0.1 * random_unit(1, 2, i));
    if (i % 50 == 0) s.ms *= 3;
    samples.push_back(s);
  }
  const StepFit fit = fit_steps(samples);
  EXPECT_NEAR(fit.costs.prefill_token_ms, 0.5, 0.03);
  EXPECT_NEAR(fit.costs.decode_token_ms, 1.5, 0.1);
  // The slow steps are 4 % more time in all.
  engine::StepWork work;
  work.add_prefill(0, 100);
  EXPECT_NEAR(fit.time().ms(work), 1.04 * truth.predict_ms(work), 0.03 * truth.predict_ms(work));
  double mean = 0;
  for (const double r : fit.spread) mean += r / static_cast<double>(fit.spread.size());
  EXPECT_NEAR(mean, 1, 1e-9);
  EXPECT_GT(fit.spread.back(), 2);
  EXPECT_LT(fit.median_error, 0.05);
  EXPECT_FALSE(fit_steps({}).costs.known());
}

// Few tokens at a time take longer each than the line through all steps says.
TEST(StepFit, FindsWhatALineMisses) {
  std::vector<engine::StepSample> samples;
  const auto step = [](int64_t tokens) {
    engine::StepSample s;
    s.work.prefill_tokens = tokens;
    s.ms = 5 + (tokens < 16 ? 0.8 : 0.2) * static_cast<double>(tokens);
    return s;
  };
  for (uint64_t i = 0; i < 2000; ++i)
    samples.push_back(step(1 + static_cast<int64_t>(random_u64(1, 0, i) % 256)));
  const StepFit fit = fit_steps(samples);
  for (const int64_t tokens : {13, 20, 40, 90, 200}) {
    const engine::StepSample s = step(tokens);
    EXPECT_NEAR(fit.time().ms(s.work), s.ms, 0.1 * s.ms) << tokens;
  }
  const engine::StepSample few = step(13);
  EXPECT_LT(fit.costs.predict_ms(few.work), 0.8 * few.ms) << "the line alone";
}

}  // namespace
}  // namespace weir::ops
