#include "ops/plan/simulate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "ops/plan/disaggregated.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

// fixed + prefill · tokens + decode · tokens + kv · tokens read, in ms.
MeasuredStepTime steps(double fixed, double prefill, double decode, double kv = 0) {
  return MeasuredStepTime({fixed, prefill, decode, kv, 0});
}

std::vector<SimRequest> poisson(size_t n, double per_s, int32_t prompt, int32_t output,
                                uint64_t seed = 1) {
  std::vector<SimRequest> out;
  double t = 0;
  for (size_t i = 0; i < n; ++i) {
    t += -std::log1p(-random_unit(seed, 0, i)) / per_s;
    out.push_back({t, prompt, output});
  }
  return out;
}

SimOutcome run(std::span<const SimRequest> requests, const SimFleet& fleet, const StepTime& time) {
  auto r = simulate(requests, fleet, time);
  EXPECT_TRUE(r.ok()) << r.error().message;
  return r.ok() ? std::move(*r) : SimOutcome();
}

double mean(std::span<const float> v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

TEST(Simulate, OneRequestTakesItsSteps) {
  const SimRequest r{2.0, 100, 5};
  SimFleet fleet;
  fleet.replica.step_tokens = 40;  // three chunks
  const SimOutcome o = run({{r}}, fleet, steps(10, 1, 2, 0.1));
  EXPECT_NEAR(o.ttft_ms[0], 3 * 10 + 100, 1e-3);
  // Four decodes that read 101, 102, 103 and 104 tokens.
  EXPECT_NEAR(o.total_ms[0], 130 + 4 * 12 + 0.1 * (101 + 102 + 103 + 104), 0.5);
  EXPECT_EQ(o.output_tokens, 5);
  EXPECT_EQ(o.prefilled_tokens, 100);
  EXPECT_EQ(o.gaps.count(), 4);
  EXPECT_NEAR(o.gaps.quantile(0.5), 12 + 10.25, 0.3);
  EXPECT_NEAR(o.span_s * 1000, o.total_ms[0], 1e-2);
}

// As weir's scheduler plans it: half of a step for the short one, until the long one is first
// again.
TEST(Simulate, AShortPromptNeedNotWaitForALongOne) {
  const std::vector<SimRequest> both{{0, 400, 1}, {0, 20, 1}};
  SimFleet fleet;
  fleet.replica.step_tokens = 40;
  const StepTime& time = steps(10, 1, 2);
  const SimOutcome in_order = run(both, fleet, time);
  EXPECT_NEAR(in_order.ttft_ms[0], 10 * (10 + 40), 1e-3);
  EXPECT_NEAR(in_order.ttft_ms[1], 10 * (10 + 40) + 10 + 20, 1e-3);
  fleet.replica.short_part = 4;
  const SimOutcome beside = run(both, fleet, time);
  EXPECT_NEAR(beside.ttft_ms[1], 10 + 40, 1e-3);
  EXPECT_NEAR(beside.ttft_ms[0], 10 * (10 + 40) + 10 + 20, 1e-3);
  // Half as long is not much shorter.
  const std::vector<SimRequest> alike{{0, 400, 1}, {0, 200, 1}};
  const SimOutcome shared = run(alike, fleet, time);
  fleet.replica.short_part = 0;
  EXPECT_EQ(shared.ttft_ms, run(alike, fleet, time).ttft_ms);
}

// One server, constant service: the Pollaczek-Khinchine formula for M/D/1.
TEST(Simulate, WaitsAsMD1) {
  SimFleet fleet;
  fleet.replica.max_running = 1;
  const double service_s = 0.1, load = 0.8;
  const auto requests = poisson(200'000, load / service_s, 1, 1);
  const SimOutcome o = run(requests, fleet, steps(100, 0, 0));
  EXPECT_NEAR(mean(o.queue_ms) / 1000, load * service_s / (2 * (1 - load)), 0.01);
  EXPECT_NEAR(o.busy_s / o.span_s, load, 0.01);
}

// L = λ W, of two sums that are kept apart.
TEST(Simulate, LittlesLaw) {
  SimFleet fleet;
  fleet.replicas = 3;
  fleet.replica.kv_tokens = 4000;
  const auto requests = poisson(5000, 20, 300, 40);
  const SimOutcome o = run(requests, fleet, steps(5, 0.05, 0.3, 0.0001));
  const double all = std::accumulate(o.total_ms.begin(), o.total_ms.end(), 0.0) / 1000;
  EXPECT_NEAR(o.in_system_s / all, 1, 1e-4);
}

// A request is computed whole, whoever is beside it; nothing idles while something waits.
TEST(Simulate, WorkIsConserved) {
  SimFleet fleet;
  fleet.replica.kv_tokens = 3000;
  fleet.replica.max_running = 8;
  const auto requests = poisson(2000, 1000, 200, 30);  // far more than it can
  const SimOutcome o = run(requests, fleet, steps(1, 0.01, 0.1));
  EXPECT_EQ(o.output_tokens, 2000 * 30);
  EXPECT_GE(o.prefilled_tokens, 2000 * 200);
  EXPECT_NEAR(o.busy_s / o.span_s, 1, 0.01);
  EXPECT_LE(o.max_kv_share, 1.0);
}

TEST(Simulate, TheSameRequestsGiveTheSame) {
  SimFleet fleet;
  fleet.replicas = 2;
  const auto requests = poisson(1000, 50, 100, 20);
  const SimOutcome a = run(requests, fleet, steps(5, 0.05, 0.3));
  const SimOutcome b = run(requests, fleet, steps(5, 0.05, 0.3));
  EXPECT_EQ(a.ttft_ms, b.ttft_ms);
  EXPECT_EQ(a.total_ms, b.total_ms);
}

// Passing stretches of decodes in one go gives what single steps give: arrivals that only split the
// stretches change nothing.
TEST(Simulate, StretchesAreAsSingleSteps) {
  SimFleet one;
  const SimRequest r{0, 50, 400};
  const SimOutcome alone = run({{r}}, one, steps(3, 0.1, 1, 0.01));
  SimFleet
      busy;  // what comes goes to the other replica, and each time both are asked how far they are
  busy.replicas = 2;
  std::vector<SimRequest> early = {r};
  for (int i = 0; i < 200; ++i) early.push_back({0.013 * i, 1, 1});
  const SimOutcome split = run(early, busy, steps(3, 0.1, 1, 0.01));
  EXPECT_NEAR(split.total_ms[0], alone.total_ms[0], alone.total_ms[0] * 1e-3);
}

TEST(Simulate, MemoryBoundsWhatRunsAndThePreemptedEndToo) {
  SimFleet fleet;
  fleet.replica.kv_tokens = 250;
  std::vector<SimRequest> requests;
  for (int i = 0; i < 10; ++i) requests.push_back({0, 50, 60});
  const SimOutcome o = run(requests, fleet, steps(1, 0.1, 0.1));
  EXPECT_GT(o.preemptions, 0);
  EXPECT_EQ(o.output_tokens, 600);
  EXPECT_GT(o.prefilled_tokens, 500);
  for (const float ms : o.total_ms) EXPECT_FALSE(std::isnan(ms));
}

TEST(Simulate, APrefixIsComputedOnce) {
  SimFleet fleet;
  std::vector<SimRequest> requests;
  for (int i = 0; i < 10; ++i) requests.push_back({i * 10.0, 100, 5, 7, 80});
  const SimOutcome o = run(requests, fleet, steps(1, 1, 1));
  EXPECT_EQ(o.prefilled_tokens, 100 + 9 * 20);
  EXPECT_EQ(o.cached_tokens, 9 * 80);
  EXPECT_LT(o.ttft_ms[1], o.ttft_ms[0]);
  fleet.replica.prefix_cache = false;
  EXPECT_EQ(run(requests, fleet, steps(1, 1, 1)).prefilled_tokens, 1000);
}

TEST(Simulate, RoutingByPrefixKeepsGroupsTogether) {
  SimFleet fleet;
  fleet.replicas = 8;
  std::vector<SimRequest> requests;
  for (int i = 0; i < 400; ++i) requests.push_back({i * 0.5, 500, 5, (i * 7) % 41, 480});
  fleet.routing = SimRouting::kRoundRobin;
  const int64_t robin = run(requests, fleet, steps(1, 0.1, 1)).cached_tokens;
  fleet.routing = SimRouting::kPrefixAware;
  EXPECT_GT(run(requests, fleet, steps(1, 0.1, 1)).cached_tokens, robin * 1.5);
}

TEST(Simulate, WhatWouldWaitTooLongIsRefused) {
  SimFleet fleet;
  fleet.replica.max_wait_s = 0.5;
  const auto requests = poisson(3000, 100, 100, 20);
  const SimOutcome o = run(requests, fleet, steps(5, 0.5, 1));
  EXPECT_GT(o.refused, 100);
  EXPECT_LT(sim_quantile(o.queue_ms, 0.99), 2000);
  SimFleet open;
  EXPECT_GT(sim_quantile(run(requests, open, steps(5, 0.5, 1)).ttft_ms, 0.99), 10'000);
}

TEST(Simulate, WrongRequestsAreNamed) {
  const SimFleet fleet;
  const auto message = [&](std::vector<SimRequest> requests, const SimFleet& f) {
    const auto r = simulate(requests, f, steps(1, 1, 1));
    return r.ok() ? "" : r.error().message;
  };
  EXPECT_THAT(message({{0, 0, 5}}, fleet), HasSubstr("request 0: a prompt of 0 tokens"));
  EXPECT_THAT(message({{1, 5, 5}, {0, 5, 5}}, fleet), HasSubstr("request 1 arrives before"));
  SimFleet small;
  small.replica.kv_tokens = 8;
  EXPECT_THAT(message({{0, 5, 5}}, small),
              HasSubstr("request 0 has 10 tokens, and a replica's KV cache holds 8"));
  small.replicas = 0;
  EXPECT_THAT(message({}, small), HasSubstr("needs a replica"));
}

// Little's law holds through a failure too; whoever was hit still gets the whole answer.
TEST(Simulate, AFailureRestartsWhatItHit) {
  SimFleet fleet;
  fleet.replicas = 2;
  const auto requests = poisson(2000, 20, 300, 40);
  const SimOutcome calm = run(requests, fleet, steps(5, 0.05, 0.3));
  fleet.failures = {{30, 20, 0}, {60, 5, 1}};
  const SimOutcome o = run(requests, fleet, steps(5, 0.05, 0.3));
  EXPECT_GT(o.restarted, 0);
  EXPECT_EQ(calm.restarted, 0);
  EXPECT_EQ(o.output_tokens, 2000 * 40);
  EXPECT_GT(o.prefilled_tokens, calm.prefilled_tokens);
  EXPECT_GT(sim_quantile(o.total_ms, 0.999), sim_quantile(calm.total_ms, 0.999));
  const double all = std::accumulate(o.total_ms.begin(), o.total_ms.end(), 0.0) / 1000;
  EXPECT_NEAR(o.in_system_s / all, 1, 1e-3);
}

TEST(Simulate, WithoutAReplicaUpRequestsWaitForOne) {
  SimFleet fleet;
  fleet.failures = {{1, 100, 0}};
  const SimOutcome o = run({{{0, 10, 2}, {2, 10, 2}}}, fleet, steps(10, 1, 1));
  EXPECT_NEAR(o.ttft_ms[1], 99'000 + 20, 1);
}

TEST(Simulate, TheAutoscalerFollowsTheLoad) {
  SimFleet fleet;
  fleet.replica.max_running = 8;
  fleet.autoscaler = SimAutoscaler{1, 6, 4, 5, 10, 30};
  // Quiet, then more than three replicas carry, then quiet again.
  std::vector<SimRequest> requests;
  const auto add = [&](double from, double per_s, double seconds) {
    for (int i = 0; i < static_cast<int>(per_s * seconds); ++i)
      requests.push_back({from + i / per_s, 100, 20});
  };
  add(0, 1, 100);
  add(100, 30, 200);
  add(300, 1, 300);
  const SimOutcome o = run(requests, fleet, steps(40, 0.05, 0.3));
  int32_t most = 0;
  for (const SimScale& s : o.scale) most = std::max(most, s.replicas);
  EXPECT_GE(most, 3);
  EXPECT_EQ(o.scale.front().replicas, 1);
  EXPECT_EQ(o.scale.back().replicas, 1);
  EXPECT_LT(o.replica_s, 6 * o.span_s);
  SimFleet still = fleet;
  still.autoscaler.reset();
  const SimOutcome fixed = run(requests, still, steps(40, 0.05, 0.3));
  EXPECT_LT(sim_quantile(o.ttft_ms, 0.95), sim_quantile(fixed.ttft_ms, 0.95) / 4);
  EXPECT_EQ(o.output_tokens, fixed.output_tokens);
}

// Three drafts of which 0.8 hold: 1 + 0.8 + 0.64 + 0.512 tokens a step.
TEST(Simulate, DraftsShortenTheDecode) {
  SimFleet fleet;
  fleet.replica.draft_tokens = 3;
  fleet.replica.draft_acceptance = 0.8;
  const SimOutcome o = run({{{0, 10, 1001}}}, fleet, steps(10, 0, 0));
  EXPECT_NEAR(o.total_ms[0] - o.ttft_ms[0], 1000 / 2.952 * 10, 20);
  EXPECT_EQ(o.gaps.count(), 1000);
  EXPECT_NEAR(o.gaps.mean_ms(), 10 / 2.952, 0.05);
}

// The mean stays, the tail is that of the spread.
TEST(Simulate, TheSpreadOfStepsIsSeenInTheGaps) {
  const MeasuredStepTime even({10, 0, 0, 0, 0});
  std::vector<double> ratios(18, 0.9);
  ratios.insert(ratios.end(), 2, 1.9);
  const MeasuredStepTime uneven({10, 0, 0, 0, 0}, ratios);
  const SimOutcome a = run({{{0, 10, 5000}}}, {}, even);
  const SimOutcome b = run({{{0, 10, 5000}}}, {}, uneven);
  EXPECT_NEAR(b.gaps.mean_ms(), a.gaps.mean_ms(), 0.1);
  EXPECT_NEAR(b.gaps.quantile(0.5), 9, 0.2);
  EXPECT_NEAR(b.gaps.quantile(0.95), 19, 0.4);
}

TEST(Simulate, DisaggregatedItIsAPipeline) {
  SimDisaggregated fleet;
  fleet.kv_bytes_per_token = 1000;
  fleet.link_bytes_per_s = 1e6;
  fleet.link_latency_s = 0.05;
  const auto time = steps(10, 1, 2);
  const auto one = simulate_disaggregated({{{0, 100, 5}}}, fleet, time, time);
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_NEAR(one->ttft_ms[0], 110, 0.01);
  EXPECT_NEAR(one->total_ms[0], 110 + 50 + 100 + 4 * 12, 0.1);
  EXPECT_EQ(one->output_tokens, 5);
  // Prompts no longer hold up decodes: the gaps are even, whatever arrives.
  fleet.link_bytes_per_s = 1e9;
  fleet.link_latency_s = 0;
  std::vector<SimRequest> requests = poisson(2000, 8, 400, 30);
  const auto two = simulate_disaggregated(requests, fleet, steps(5, 0.2, 0.3), steps(5, 0.2, 0.3));
  SimFleet together;
  together.replicas = 2;
  const SimOutcome mixed = run(requests, together, steps(5, 0.2, 0.3));
  EXPECT_LT(two->gaps.quantile(0.99), mixed.gaps.quantile(0.99) / 2);
  EXPECT_EQ(two->output_tokens, mixed.output_tokens);
  const double all = std::accumulate(two->total_ms.begin(), two->total_ms.end(), 0.0) / 1000;
  EXPECT_LT(two->in_system_s, all);  // what is on the way is on neither side
  // One link sends one prompt after the other: 400 kB each, 8 a second, at 1 MB/s.
  fleet.link_bytes_per_s = 1e6;
  const auto slow = simulate_disaggregated(requests, fleet, steps(5, 0.2, 0.3), steps(5, 0.2, 0.3));
  ASSERT_TRUE(slow.ok());
  EXPECT_GT(slow->total_ms.back(), 100'000);
  EXPECT_GT(slow->queue_ms.back(), 100'000);
  fleet.links = 8;
  const auto wide = simulate_disaggregated(requests, fleet, steps(5, 0.2, 0.3), steps(5, 0.2, 0.3));
  EXPECT_LT(wide->total_ms.back(), 10'000);
  fleet.links = 0;
  EXPECT_FALSE(simulate_disaggregated(requests, fleet, time, time).ok());
  fleet.links = 1;
  fleet.link_bytes_per_s = 0;
  EXPECT_FALSE(simulate_disaggregated(requests, fleet, time, time).ok());
}

TEST(Simulate, ChangesThatCannotBeAreNamed) {
  SimFleet fleet;
  fleet.failures = {{5, 1, 3}};
  const auto message = [&] {
    const auto r = simulate({}, fleet, steps(1, 1, 1));
    return r.ok() ? "" : r.error().message;
  };
  EXPECT_THAT(message(), HasSubstr("of replica 3"));
  fleet.failures.clear();
  fleet.autoscaler = SimAutoscaler{2, 1};
  EXPECT_THAT(message(), HasSubstr("1 <= least <= replicas <= most"));
  fleet.autoscaler.reset();
  fleet.replica.draft_acceptance = 1.5;
  EXPECT_THAT(message(), HasSubstr("acceptance from 0 to 1"));
}

// Llama 3.1 8B in bf16 on a device of 989 TFLOP/s and 3,350 GB/s: what the roofline says by hand.
TEST(StepTime, RooflineOfADenseModel) {
  auto json = text::Json::parse(R"({"model_type":"llama","hidden_size":4096,
    "intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
    "num_key_value_heads":8,"vocab_size":128256,"tie_word_embeddings":false})");
  const auto shape = read_model_shape(*json);
  ASSERT_TRUE(shape.ok());
  const DeviceRates h100{989e12, 989e12, 3.35e12, 450e9, 450e9};
  const Efficiency ideal{1, 1, 1, 0, 0};
  const RooflineStepTime one(*shape, h100, {}, 2, ideal);
  engine::StepWork decode;
  decode.add_decode(1);
  EXPECT_NEAR(one.ms(decode), 7.5e9 * 2 / 3.35e12 * 1000, 0.05);
  engine::StepWork prefill;
  prefill.add_prefill(0, 4096);
  // The output matrix, half a billion, for the last token alone; 4.4 ms of attention.
  EXPECT_NEAR(one.ms(prefill), 2 * 6.98e9 * 4096 / 989e12 * 1000 + 4.4, 1);
  // Two devices: half of each, and the exchange of 64 all-reduces.
  const RooflineStepTime two(*shape, h100, {2}, 2, ideal);
  EXPECT_NEAR(two.ms(decode), one.ms(decode) / 2, 0.05);
  EXPECT_GT(two.ms(prefill), one.ms(prefill) / 2 + 4);
  EXPECT_EQ(one.ms({}), 0);
  // Two groups of layers: the whole pass, and one hand-over of 4096 tokens of 8 KiB.
  const RooflineStepTime stages(*shape, h100, {1, 1, 2}, 2, ideal);
  EXPECT_NEAR(stages.ms(prefill) - one.ms(prefill), 4096.0 * 8192 / 450e9 * 1000, 1e-6);
}

// DeepSeek V3: prompts attend with 192 + 128 numbers a head, decodes on the latent, which is whole
// on every device.
TEST(StepTime, LatentAttentionExpandsPromptsAndCopiesTheLatent) {
  auto json = text::Json::parse(R"({"model_type":"deepseek_v3","hidden_size":7168,
    "intermediate_size":18432,"num_hidden_layers":61,"num_attention_heads":128,
    "num_key_value_heads":128,"kv_lora_rank":512,"q_lora_rank":1536,"qk_nope_head_dim":128,
    "qk_rope_head_dim":64,"v_head_dim":128,"vocab_size":129280})");
  const auto shape = read_model_shape(*json);
  ASSERT_TRUE(shape.ok());
  const Efficiency ideal{1, 1, 1, 0, 0};
  const RooflineStepTime one(*shape, {1e15, 1e15, 4e12, 0}, {}, 2, ideal);
  engine::StepWork first, later;
  first.add_prefill(0, 1000);
  later.add_prefill(50'000, 1000);
  EXPECT_NEAR(later.prefill_kv_pairs - first.prefill_kv_pairs, 50e6, 1);
  EXPECT_NEAR(one.ms(later) - one.ms(first), 2 * 61 * 128 * (192 + 128) * 50e6 / 1e15 * 1000, 1e-3);
  engine::StepWork near, far;
  near.add_decode(1);
  far.add_decode(100'001);
  const double read_ms = 1e5 * 61 * 576 * 2 / 4e12 * 1000;
  EXPECT_NEAR(one.ms(far) - one.ms(near), read_ms, 1e-3);
  const RooflineStepTime eight(*shape, {1e15, 1e15, 4e12, 0}, {8}, 2, ideal);
  EXPECT_NEAR(eight.ms(far) - eight.ms(near), read_ms, 1e-3);
}

// gpt-oss: every second layer reads no more than 128 tokens.
TEST(StepTime, WindowsAndStatesAreReadAsFarAsTheyGo) {
  auto json = text::Json::parse(R"({"model_type":"gpt_oss","hidden_size":2880,"head_dim":64,
    "intermediate_size":2880,"num_hidden_layers":24,"num_attention_heads":64,
    "num_key_value_heads":8,"vocab_size":201088,"sliding_window":128})");
  auto shape = read_model_shape(*json);
  ASSERT_TRUE(shape.ok());
  const Efficiency ideal{1, 1, 1, 0, 0};
  const DeviceRates rates{1e15, 1e15, 4e12, 0};
  engine::StepWork near, far;
  near.add_decode(1000);
  far.add_decode(101'000);
  const double token = 12 * 2 * 8 * 64 * 2;  // of the layers of one kind
  const RooflineStepTime time(*shape, rates, {}, 2, ideal);
  EXPECT_NEAR(time.ms(far) - time.ms(near), 1e5 * token / 4e12 * 1000, 1e-6);
  shape->layers[0].also_state = true;
  shape->state_bytes = 4e9;  // read and written
  const RooflineStepTime kept(*shape, rates, {}, 2, ideal);
  EXPECT_NEAR(kept.ms(near) - time.ms(near), 2.0, 0.05);
}

// Mixtral 8x7B: two of eight experts. Whole experts on each device need two all-to-alls where
// shared ones need an all-reduce.
TEST(StepTime, ExpertsWholeOnDevices) {
  auto json = text::Json::parse(R"({"model_type":"mixtral","hidden_size":4096,
    "intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
    "num_key_value_heads":8,"vocab_size":32000,"num_local_experts":8,"num_experts_per_tok":2,
    "tie_word_embeddings":false})");
  const auto shape = read_model_shape(*json);
  ASSERT_TRUE(shape.ok());
  const DeviceRates slow_link{989e12, 989e12, 3.35e12, 10e9};
  const Efficiency ideal{1, 1, 1, 0, 0};
  engine::StepWork prefill;
  prefill.add_prefill(0, 1024);
  const double shared = RooflineStepTime(*shape, slow_link, {8}, 2, ideal).ms(prefill);
  const double whole = RooflineStepTime(*shape, slow_link, {8, 8}, 2, ideal).ms(prefill);
  const double row = 1024.0 * 8192 / 10e9 * 1000;
  EXPECT_NEAR(shared - whole, 32 * row * (2 * 7.0 / 8 - 2 * 2 * 7.0 / 8 / 8), 1e-6);
}

}  // namespace
}  // namespace weir::ops
