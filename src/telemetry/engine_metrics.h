// The metrics of an engine that serves one model: the vLLM names that routers and dashboards read,
// and our own. Handles only: whoever owns the event updates them, from any
// thread.
#pragma once

#include <cstdint>
#include <string>

#include "telemetry/metrics.h"

namespace weir::telemetry {

// What vllm:cache_config_info says about the KV cache.
struct CacheConfig {
  uint64_t page_tokens = 0;  // label block_size
  uint64_t pages = 0;        // label num_gpu_blocks, the name dashboards expect
  std::string kv_type;       // label cache_dtype: "f16"; "q8_0/q4_0" where K and V differ
  bool prefix_caching = false;
};

struct EngineMetrics {
  // Every metric carries the label model_name.
  EngineMetrics(Registry& registry, const std::string& model_name);

  // vLLM names.
  Gauge requests_waiting;           // vllm:num_requests_waiting
  Gauge requests_running;           // vllm:num_requests_running
  Gauge kv_cache_usage;             // vllm:kv_cache_usage_perc, 0..1 in spite of its name
  Counter prefix_queries_tokens;    // vllm:prefix_cache_queries_total
  Counter prefix_hits_tokens;       // vllm:prefix_cache_hits_total
  Counter preemptions;              // vllm:num_preemptions_total
  Counter prompt_tokens;            // vllm:prompt_tokens_total
  Counter generation_tokens;        // vllm:generation_tokens_total
  Counter draft_tokens;             // vllm:spec_decode_num_draft_tokens_total
  Counter accepted_draft_tokens;    // vllm:spec_decode_num_accepted_tokens_total
  Histogram time_to_first_token_s;  // vllm:time_to_first_token_seconds
  Histogram inter_token_latency_s;  // vllm:inter_token_latency_seconds
  Histogram e2e_latency_s;          // vllm:e2e_request_latency_seconds
  Histogram queue_time_s;           // vllm:request_queue_time_seconds
  CounterFamily request_success;  // vllm:request_success_total{finished_reason}: stop length abort
  void set_cache_config(const CacheConfig& config);  // vllm:cache_config_info

  // Our own.
  Gauge queue_depth_tokens;  // weir_queue_depth_tokens: prompt tokens of waiting requests
  Gauge kv_headroom_bytes;   // weir_kv_headroom_bytes
  Histogram step_s;          // weir_step_seconds
  // weir_predicted_ttft_error_seconds: |predicted - actual| time from submit to first token
  Histogram predicted_ttft_error_s;
  Histogram batch_tokens;     // weir_step_tokens: tokens (prefill and decode) of a step
  Histogram batch_sequences;  // weir_step_sequences
  CounterFamily errors;       // weir_errors_total{code}: code as in the error body
  CounterFamily rejections;   // weir_rejections_total{bound}: which named bound refused a request
  CounterFamily cancelled;    // weir_requests_cancelled_total{reason}
  Counter failed_steps;       // weir_failed_steps_total
  Gauge prefix_pages;         // weir_prefix_cache_pages: of the prefix tree, in use or not
  Counter prefix_evictions;   // weir_prefix_cache_evicted_pages_total
  Gauge tier_pages;           // weir_prefix_tier_pages: evicted, kept in the second tier
  Counter tier_hits;          // weir_prefix_tier_hit_pages_total: came back from it
  Counter rejected_draft_tokens;  // weir_speculation_rejected_tokens_total

 private:
  Registry* registry_;
  std::string model_name_;
};

}  // namespace weir::telemetry
