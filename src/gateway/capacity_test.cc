#include "gateway/capacity.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

// As the engines print them; values are made up.
constexpr std::string_view kVllm =
    "# TYPE vllm:num_requests_running gauge\n"
    "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 10.0\n"
    "vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 6.0\n"
    "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 2.0\n"
    "vllm:num_requests_waiting{engine=\"1\",model_name=\"m\"} 1.0\n"
    "vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"m\",reason=\"capacity\"} 2.0\n"
    "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.5\n"
    "vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\"} 0.25\n"
    "vllm:broken{ 1\n";
constexpr std::string_view kSglang =
    "sglang:num_running_reqs{dp_rank=\"0\",pp_rank=\"0\",priority=\"\",tp_rank=\"0\"} 12.0\n"
    "sglang:num_running_reqs{dp_rank=\"0\",pp_rank=\"0\",priority=\"\",tp_rank=\"1\"} 12.0\n"
    "sglang:num_queue_reqs{dp_rank=\"0\",pp_rank=\"0\",priority=\"\",tp_rank=\"0\"} 3.0\n"
    "sglang:num_queue_reqs{dp_rank=\"0\",pp_rank=\"0\",priority=\"5\",tp_rank=\"0\"} 3.0\n"
    "sglang:num_queue_reqs{dp_rank=\"1\",pp_rank=\"0\",priority=\"\",tp_rank=\"0\"} 4.0\n"
    "sglang:token_usage{dp_rank=\"0\",pp_rank=\"0\",tp_rank=\"0\"} 0.28\n";

TEST(CapacityTest, EachEnginesNames) {
  auto r = read_capacity("vllm", kVllm);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->running, 16);
  EXPECT_EQ(r->waiting, 3);
  EXPECT_FLOAT_EQ(r->kv_usage.value_or(-1), 0.375F);
  EXPECT_FALSE(r->queued_tokens.has_value());

  r = read_capacity("vllm", "vllm:gpu_cache_usage_perc 1.5\n");  // older
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->kv_usage, 1.0F);
  EXPECT_FALSE(r->waiting.has_value());

  r = read_capacity("sglang", kSglang);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->running, 12);
  EXPECT_EQ(r->waiting, 7);

  r = read_capacity("trtllm",
                    "trtllm_num_requests_running{model_name=\"m\"} 4.0\n"
                    "trtllm_num_requests_waiting{model_name=\"m\"} 1.0\n"
                    "trtllm_kv_cache_utilization{model_name=\"m\"} 0.5\n");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->running, 4);
  EXPECT_EQ(r->waiting, 1);
  EXPECT_EQ(metrics_path("trtllm"), "/prometheus/metrics");

  r = read_capacity("llamacpp", "llamacpp:requests_processing 2\nllamacpp:requests_deferred 7\n");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->waiting, 7);
  EXPECT_FALSE(r->kv_usage.has_value());

  r = read_capacity("dynamo",
                    "dynamo_frontend_inflight_requests{model=\"m\"} 12\n"
                    "dynamo_frontend_queued_requests{model=\"m\"} 5\n");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->running, 7);
  EXPECT_EQ(r->waiting, 5);

  r = read_capacity("weir",
                    "vllm:num_requests_waiting{model_name=\"m\"} 2\n"
                    "weir_queue_depth_tokens{model_name=\"m\"} 4096\n");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->queued_tokens, 4096);
}

TEST(CapacityTest, WhatSaysNothingIsRefused) {
  for (const std::string_view hosted : {"openai", "anthropic", "nobody"}) {
    EXPECT_EQ(metrics_path(hosted), "");
    EXPECT_FALSE(read_capacity(hosted, kVllm).ok());
  }
  EXPECT_EQ(read_capacity("vllm", kSglang).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(read_capacity("vllm", "").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(read_capacity("vllm", "vllm:num_requests_waiting x\n").error().code,
            ErrorCode::kCorrupt);
  EXPECT_EQ(read_capacity("vllm", "vllm:num_requests_waiting NaN\n").error().code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(read_capacity("vllm", "vllm:num_requests_waiting -1\n").error().code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(read_capacity("vllm", std::string(kMaxMetricsBytes + 1, '\n')).error().code,
            ErrorCode::kLimit);
  const auto huge = read_capacity("vllm", "vllm:num_requests_waiting 1e300\n");
  ASSERT_TRUE(huge.ok());
  EXPECT_EQ(huge->waiting, 1'000'000'000);
}

TEST(CapacityTest, CutAnywhere) {
  for (const auto& [engine, text] : {std::pair{"vllm", kVllm}, std::pair{"sglang", kSglang}}) {
    for (size_t n = 0; n < text.size(); ++n) {
      const auto r = read_capacity(engine, text.substr(0, n));
      if (!r.ok()) continue;
      EXPECT_LE(r->running.value_or(0), 16) << n;
      EXPECT_LE(r->kv_usage.value_or(0), 1) << n;
    }
  }
}

CapacityReport report(int32_t waiting, int32_t running, int64_t own_tokens, int32_t own) {
  CapacityReport r;
  r.said.waiting = waiting;
  r.said.running = running;
  r.said.kv_usage = 0.5F;
  r.at_ns = 1'000 * kMs;
  r.own_queued_tokens = own_tokens;
  r.own_in_flight = own;
  return r;
}

TEST(CapacityTest, AReportIsBelievedWhileFresh) {
  EndpointView v;
  v.queued_tokens = 10;
  apply_report(report(3, 8, 10, 0), 1'000, 500 * kMs, 1'500 * kMs, v);
  EXPECT_EQ(v.signals_age_ms, 500);
  EXPECT_EQ(v.waiting, 3);
  EXPECT_EQ(v.requests, 11);
  EXPECT_EQ(v.kv_usage, 0.5F);
  EXPECT_EQ(v.queued_tokens, 3'000);
  v.queued_tokens = 10;
  apply_report(report(3, 8, 10, 0), 1'000, 500 * kMs, 1'501 * kMs, v);
  EXPECT_EQ(v.signals_age_ms, -1);
  EXPECT_EQ(v.waiting, 0);
  EXPECT_EQ(v.requests, 0);
  EXPECT_EQ(v.queued_tokens, 10);
  apply_report(std::nullopt, 1'000, 500 * kMs, 1'000 * kMs, v);
  EXPECT_EQ(v.signals_age_ms, -1);
}

// What was sent since the report stands behind what it told, and what was answered since is gone.
TEST(CapacityTest, WhatCameAndWentSinceCounts) {
  EndpointView v;
  v.in_flight = 7;
  v.queued_tokens = 900;
  apply_report(report(2, 3, 400, 5), 1'000, 500 * kMs, 1'100 * kMs, v);
  EXPECT_EQ(v.requests, 7);
  EXPECT_EQ(v.queued_tokens, 2'500);
  v.in_flight = 0;
  v.queued_tokens = 0;
  apply_report(report(2, 3, 400, 5), 1'000, 500 * kMs, 1'100 * kMs, v);
  EXPECT_EQ(v.requests, 0);
  EXPECT_EQ(v.queued_tokens, 1'600);
  CapacityReport exact = report(2, 3, 400, 5);
  exact.said.queued_tokens = 300;
  v.queued_tokens = 900;
  apply_report(exact, 1'000, 500 * kMs, 1'100 * kMs, v);
  EXPECT_EQ(v.queued_tokens, 900) << "never less than its own account";
}

}  // namespace
}  // namespace weir::gateway
