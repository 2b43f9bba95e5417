// The metrics of an engine that serves one model: the vLLM names that routers and dashboards read,
// and our own. Handles only: whoever owns the event updates them, from any
// thread. docs/TELEMETRY.md lists every name; a test holds the list against /metrics.
#pragma once

#include <array>
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

// The parts of a request's life that are measured.
enum class RequestPhase { kQueue, kPrefill, kDecode, kDetokenize, kWrite };
inline constexpr size_t kRequestPhases = 5;

struct EngineMetrics {
  // Every metric carries the label model_name, those of vLLM engine="0" as well.
  EngineMetrics(Registry& registry, const std::string& model_name);

  // vLLM names, with vLLM's buckets, which are finer here below 10 ms.
  Gauge requests_waiting;               // vllm:num_requests_waiting
  Gauge requests_running;               // vllm:num_requests_running
  Gauge kv_cache_usage;                 // vllm:kv_cache_usage_perc, 0..1 in spite of its name
  Counter prefix_queries_tokens;        // vllm:prefix_cache_queries_total
  Counter prefix_hits_tokens;           // vllm:prefix_cache_hits_total
  Counter preemptions;                  // vllm:num_preemptions_total
  Counter prompt_tokens;                // vllm:prompt_tokens_total
  Counter generation_tokens;            // vllm:generation_tokens_total
  Counter draft_tokens;                 // vllm:spec_decode_num_draft_tokens_total
  Counter accepted_draft_tokens;        // vllm:spec_decode_num_accepted_tokens_total
  Histogram time_to_first_token_s;      // vllm:time_to_first_token_seconds
  Histogram inter_token_latency_s;      // vllm:inter_token_latency_seconds
  Histogram time_per_output_token_s;    // vllm:request_time_per_output_token_seconds
  Histogram e2e_latency_s;              // vllm:e2e_request_latency_seconds
  Histogram queue_time_s;               // vllm:request_queue_time_seconds
  Histogram prefill_time_s;             // vllm:request_prefill_time_seconds
  Histogram decode_time_s;              // vllm:request_decode_time_seconds
  Histogram inference_time_s;           // vllm:request_inference_time_seconds: both
  Histogram request_prompt_tokens;      // vllm:request_prompt_tokens
  Histogram request_generation_tokens;  // vllm:request_generation_tokens
  Histogram request_max_tokens;         // vllm:request_params_max_tokens
  Histogram request_n;                  // vllm:request_params_n
  Histogram iteration_tokens;     // vllm:iteration_tokens_total; a histogram in spite of its name
  CounterFamily request_success;  // vllm:request_success_total{finished_reason}: stop length abort
  void set_cache_config(const CacheConfig& config);  // vllm:cache_config_info

  // Our own.
  Gauge queue_depth_tokens;   // weir_queue_depth_tokens: prompt tokens of waiting requests
  Gauge kv_headroom_bytes;    // weir_kv_headroom_bytes
  Gauge kv_pages;             // weir_kv_pages
  Gauge kv_free_pages;        // weir_kv_free_pages
  Gauge preempted_sequences;  // weir_sequences_without_pages: admitted or preempted
  Gauge tokens_per_s;         // weir_engine_tokens_per_second: smoothed over about ten steps
  Histogram step_s;           // weir_step_seconds
  // weir_predicted_ttft_error_seconds: |predicted - actual| time from submit to first token
  Histogram predicted_ttft_error_s;
  std::array<Counter, 5> step_phase_s;  // weir_step_phase_seconds_total{phase}
  Histogram batch_tokens;               // weir_step_tokens: tokens (prefill and decode) of a step
  Histogram batch_sequences;            // weir_step_sequences
  Counter prefill_tokens;  // weir_computed_tokens_total{kind="prefill"}: recomputed ones as well
  Counter decode_tokens;   // weir_computed_tokens_total{kind="decode"}
  std::array<Histogram, kRequestPhases> request_phase_s;  // weir_request_phase_seconds{phase}
  CounterFamily errors;      // weir_errors_total{code}: code as in the error body
  CounterFamily rejections;  // weir_rejections_total{bound}: which named bound refused a request
  CounterFamily cancelled;   // weir_requests_cancelled_total{reason}
  Counter failed_steps;      // weir_failed_steps_total
  Counter rejected_draft_tokens;  // weir_speculation_rejected_tokens_total
  Gauge prefix_pages;             // weir_prefix_cache_pages: of the prefix tree, in use or not
  Counter prefix_evictions;       // weir_prefix_cache_evicted_pages_total
  Gauge tier_pages;               // weir_prefix_tier_pages: evicted, kept in the second tier
  Counter tier_hits;              // weir_prefix_tier_hit_pages_total: came back from it

 private:
  void add_vllm(Registry& r);
  void add_vllm_histograms(Registry& r);
  void add_own(Registry& r);

  Registry* registry_;
  Labels vllm_labels_;
  Labels labels_;
};

}  // namespace weir::telemetry
