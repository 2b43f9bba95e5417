#include "ops/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/data/models.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

const Accelerators& accelerators() {
  static const auto all = load_accelerators();
  return *all;
}

PlanRequest request(const char* model, const char* device, int devices = 1) {
  PlanRequest r;
  const auto models = built_in_models();
  for (const KnownModel& m : *models) {
    if (m.id == model) r.shape = *shape_of(m);
  }
  EXPECT_FALSE(r.shape.layers.empty()) << model;
  r.device = accelerators().find(device);
  EXPECT_NE(r.device, nullptr) << device;
  r.devices = devices;
  r.workload = {500, 2000, 200, 600, 2.0, 1.0, 0, 8192};
  r.slo = {1000, 60, 0};
  r.requests = 600;
  return r;
}

// 8.03 billion weights in 16 bits of 80 GB; 131,072 bytes of KV cache a token.
TEST(Plan, MemoryByArithmetic) {
  const PlanMemory m = plan_memory(request("llama-3.1-8b", "nvidia-h100-sxm"), 80);
  EXPECT_NEAR(m.weights_gb, 16.06, 0.01);
  EXPECT_EQ(m.kv_bytes_per_token, 131072);
  EXPECT_NEAR(static_cast<double>(m.kv_tokens), (72 - 16.06 - 2) * 1e9 / 131072, 100);
  EXPECT_TRUE(m.fits);
  const PlanMemory big = plan_memory(request("llama-3.1-70b", "nvidia-h100-sxm"), 80);
  EXPECT_FALSE(big.fits);
  // Sixteen devices copy the eight key heads.
  const PlanMemory sixteen = plan_memory(request("llama-3.1-70b", "nvidia-h100-sxm", 16), 80);
  const PlanMemory eight = plan_memory(request("llama-3.1-70b", "nvidia-h100-sxm", 8), 80);
  EXPECT_LT(sixteen.kv_tokens, eight.kv_tokens * 1.4);
}

// 3,326 tokens of cache, requests of 7,300 at the 95th percentile.
TEST(Plan, WhatTheCacheDoesNotHoldDoesNotFit) {
  PlanRequest r = request("llama-3.1-8b", "nvidia-h100-sxm");
  r.own_memory_gb = (16.06 + 2 + 0.436) / 0.9;
  const PlanMemory small = plan_memory(r, r.own_memory_gb);
  EXPECT_NEAR(static_cast<double>(small.kv_tokens), 3326, 5);
  EXPECT_TRUE(small.fits);  // of 2,600
  r.workload = {6000, 7000, 300, 300, 1.0, 1.0, 0, 131072};
  const auto plan = make_plan(r);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_FALSE(plan->memory.fits);
  EXPECT_EQ(plan->memory.longest_tokens, 7300);
  EXPECT_FALSE(plan->high.most);
  // A pipeline's batches share the cache.
  r.own_memory_gb = 20;
  r.pipeline = 2;
  const PlanMemory shared = plan_memory(r, r.own_memory_gb);
  EXPECT_EQ(shared.most_tokens(2), shared.kv_tokens / 2);
  EXPECT_EQ(shared.fits, shared.kv_tokens / 2 >= 7300);
}

// Gemma 3 27B: of 62 layers ten see all, the others 1,024 tokens.
TEST(Plan, WindowsHoldNoMoreThanTheirTokens) {
  PlanRequest r = request("gemma-3-27b-it", "nvidia-h100-sxm");
  r.workload = {30'000, 60'000, 300, 600, 1.0, 1.0, 0, 131072};
  const PlanMemory m = plan_memory(r, 80);
  const double full = r.shape.kv_bytes_per_token(Mixer::kFull, 2);
  const double all = full + r.shape.kv_bytes_per_token(Mixer::kWindow, 2);
  ASSERT_GT(all, 5 * full);
  EXPECT_GT(m.kv_bytes_per_token, full);
  EXPECT_LT(m.kv_bytes_per_token, 1.25 * full);
  EXPECT_TRUE(m.fits);
  // Short ones are within the window whole.
  r.workload = {100, 200, 50, 90, 1.0, 1.0, 0, 131072};
  EXPECT_EQ(plan_memory(r, 80).kv_bytes_per_token, all);
}

TEST(Plan, StatesTakeMemoryOfTheirOwn) {
  PlanRequest r = request("qwen3-next-80b-a3b-thinking", "nvidia-h100-sxm", 4);
  const PlanMemory many = plan_memory(r, 80);
  EXPECT_NEAR(many.states_gb * 4, 256 * 77e6 / 1e9, 1.0);
  r.max_running = 16;
  const PlanMemory few = plan_memory(r, 80);
  EXPECT_NEAR(few.kv_gb - many.kv_gb, (256 - 16) * 77e6 / 1e9 / 4, 0.3);
  // Nothing but states: as many sequences as may run, each as long as it likes.
  PlanRequest states = request("llama-3.1-8b", "nvidia-h100-sxm");
  for (ModelLayer& l : states.shape.layers) l.mixer = Mixer::kState;
  states.shape.state_bytes = 1e6;
  const auto plan = make_plan(states);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_TRUE(plan->memory.fits);
  EXPECT_EQ(plan->memory.kv_bytes_per_token, 0);
  EXPECT_TRUE(plan->high.most);
  states.shape.state_bytes = 20e6;  // 164 GB of 256 sequences
  EXPECT_FALSE(plan_memory(states, 80).fits);
}

TEST(Plan, TheEndsAreInOrderAndMeetTheSlo) {
  const PlanRequest r = request("llama-3.1-8b", "nvidia-h100-sxm");
  const auto plan = make_plan(r);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  ASSERT_TRUE(plan->low.most && plan->high.most);
  EXPECT_LT(plan->high.alone.itl_ms_p50, plan->low.alone.itl_ms_p50);
  EXPECT_LT(plan->low.most->rate_per_s, plan->high.most->rate_per_s);
  EXPECT_GE(plan->low.replicas, plan->high.replicas);
  EXPECT_LE(plan->low.most->itl_ms_p95, 60);
  // Decode alone reads the weights once a token: 15 GB at 60 to 85 % of the bandwidth, and the
  // step.
  EXPECT_NEAR(plan->high.alone.itl_ms_p50,
              15.0 / (0.85 * r.device->bandwidth_gb_per_s.value) * 1000 + 1.5, 0.5);
}

TEST(Plan, MoreDevicesDecodeFaster) {
  const auto one = make_plan(request("llama-3.1-70b", "nvidia-h200-sxm", 2));
  const auto four = make_plan(request("llama-3.1-70b", "nvidia-h200-sxm", 8));
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_LT(four->high.alone.itl_ms_p50, one->high.alone.itl_ms_p50 / 2);
}

TEST(Plan, AnSloThatNothingMeetsIsSaid) {
  PlanRequest r = request("llama-3.1-8b", "nvidia-h100-sxm");
  r.slo.itl_ms_p95 = 0.5;
  const auto plan = make_plan(r);
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->high.most);
  EXPECT_EQ(plan->high.replicas, 0);
}

TEST(Plan, ACpuNeedsItsMemorySaid) {
  const auto cpu =
      std::find_if(accelerators().all.begin(), accelerators().all.end(),
                   [](const Accelerator& a) { return !a.memory_gb && a.tflops("bf16"); });
  ASSERT_NE(cpu, accelerators().all.end());
  PlanRequest r = request("llama-3.1-8b", cpu->id.c_str());
  EXPECT_THAT(make_plan(r).error().message, HasSubstr("--memory-gb"));
  r.memory_gb = 256;
  EXPECT_TRUE(make_plan(r).ok());
}

TEST(Workload, DrawsWhatItWasAsked) {
  Workload w{500, 2000, 200, 600, 4.0, 2.0, 0.3, 1 << 20};
  const auto requests = draw_requests(w, 20'000, 1);
  std::vector<int32_t> prompts;
  double sum = 0, squares = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    prompts.push_back(requests[i].prompt_tokens);
    const double gap = requests[i].arrival_s - (i == 0 ? 0 : requests[i - 1].arrival_s);
    sum += gap;
    squares += gap * gap;
  }
  std::sort(prompts.begin(), prompts.end());
  const auto n = static_cast<double>(requests.size());
  EXPECT_NEAR(prompts[requests.size() / 2], 500, 15);
  EXPECT_NEAR(prompts[requests.size() * 95 / 100], 2000, 80);
  EXPECT_NEAR(n / sum, 4.0, 0.2);
  EXPECT_NEAR(std::sqrt(squares / n - sum * sum / n / n) / (sum / n), 2.0, 0.1);
  EXPECT_EQ(requests[5].prefix_tokens, std::min(150, requests[5].prompt_tokens));
  w.rate_per_s = 8;
  EXPECT_NEAR(draw_requests(w, 100, 1)[99].arrival_s, requests[99].arrival_s / 2, 1e-9);
}

TEST(Workload, ThePeakIsPlannedFor) {
  Intake intake;
  for (const auto& [path, value] :
       {std::pair("traffic.prompt_tokens_p50", "500"),
        std::pair("traffic.prompt_tokens_p95", "900"), std::pair("traffic.output_tokens_p50", "60"),
        std::pair("traffic.output_tokens_p95", "120"), std::pair("traffic.requests_per_s", "3"),
        std::pair("traffic.requests_per_s_peak", "12")})
    ASSERT_TRUE(intake.set_text(path, value, Origin::kGiven, "").ok());
  const auto w = workload_of(intake);
  ASSERT_TRUE(w.ok()) << w.error().message;
  EXPECT_EQ(w->rate_per_s, 12);
  EXPECT_EQ(w->mean_rate(), 3);
  // What does not run at the peak all day costs more for each token.
  PlanRequest r = request("llama-3.1-8b", "nvidia-h100-sxm");
  r.workload = *w;
  const LoadPoint load{.rate_per_s = 12, .output_tok_s = 1000};
  const double peak = usd_per_million(r, load, 2, PriceEnd::kHighest);
  r.workload.mean_per_s = 0;
  EXPECT_NEAR(peak, 4 * usd_per_million(r, load, 2, PriceEnd::kHighest), 1e-9);
}

TEST(Workload, TheContextIsTheModelsUnlessLessIsAsked) {
  Intake intake;
  ModelShape shape;
  EXPECT_THAT(context_of(intake, shape).error().message, HasSubstr("model.context_tokens"));
  shape.context_tokens = 131072;
  EXPECT_EQ(*context_of(intake, shape), 131072);
  ASSERT_TRUE(intake.set_text("model.context_tokens", "8192", Origin::kGiven, "").ok());
  EXPECT_EQ(*context_of(intake, shape), 8192);
  shape.context_tokens = 4096;
  EXPECT_EQ(*context_of(intake, shape), 4096);
}

TEST(Workload, WhatIsMissingIsNamed) {
  Intake intake;
  ASSERT_TRUE(intake.set_text("traffic.requests_per_s", "3", Origin::kGiven, "").ok());
  EXPECT_THAT(workload_of(intake).error().message,
              HasSubstr("a plan needs traffic.prompt_tokens_p50, traffic.prompt_tokens_p95"));
}

}  // namespace
}  // namespace weir::ops
