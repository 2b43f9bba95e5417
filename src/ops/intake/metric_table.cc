// Names as they stand in the sources of 2025 and 2026: vLLM's vllm/v1/metrics/loggers.py and
// v1/spec_decode/metrics.py; SGLang's srt metrics_collector.py; TensorRT-LLM's
// tensorrt_llm/metrics/collector.py, and of Triton's tensorrtllm_backend the README, "Triton
// Metrics" (since 23.11); llama.cpp's tools/server (GET /metrics). Names of older versions follow
// those that replaced them.
#include "ops/intake/metric_table.h"

#include <array>

namespace weir::ops {
namespace {

using enum MetricKind;

constexpr std::string_view kVllm = "vllm";
constexpr std::string_view kSglang = "sglang";
constexpr std::string_view kTrtllm = "tensorrt-llm";
constexpr std::string_view kLlama = "llama.cpp";
constexpr std::string_view kPerRequest = "the mean of a request, not of a gap";

constexpr MetricRow kRows[] = {
    {kVllm, "observed.ttft_ms", kQuantiles, "vllm:time_to_first_token_seconds"},
    {kVllm, "observed.itl_ms", kQuantiles, "vllm:inter_token_latency_seconds"},
    {kVllm, "observed.itl_ms", kQuantiles, "vllm:time_per_output_token_seconds"},  // older
    {kVllm, "observed.total_ms", kQuantiles, "vllm:e2e_request_latency_seconds"},
    {kVllm, "observed.queue_ms_mean", kAverageMs, "vllm:request_queue_time_seconds"},
    {kVllm, "observed.prefill_ms_mean", kAverageMs, "vllm:request_prefill_time_seconds"},
    {kVllm, "observed.decode_ms_mean", kAverageMs, "vllm:request_decode_time_seconds"},
    {kVllm, "observed.running", kSum, "vllm:num_requests_running"},
    {kVllm, "observed.waiting", kSum, "vllm:num_requests_waiting"},
    {kVllm, "observed.kv_usage", kMean, "vllm:kv_cache_usage_perc"},
    {kVllm, "observed.kv_usage", kMean, "vllm:gpu_cache_usage_perc"},  // older
    {kVllm, "observed.prefix_hit_rate", kRatio, "vllm:prefix_cache_hits_total",
     "vllm:prefix_cache_queries_total"},
    {kVllm, "observed.prefix_hit_rate", kRatio, "vllm:gpu_prefix_cache_hits_total",
     "vllm:gpu_prefix_cache_queries_total"},  // older
    {kVllm, "observed.acceptance", kRatio, "vllm:spec_decode_num_accepted_tokens_total",
     "vllm:spec_decode_num_draft_tokens_total"},
    {kVllm, "observed.preemptions_per_s", kRate, "vllm:num_preemptions_total"},
    {kVllm, "observed.throughput_tok_s", kRate, "vllm:generation_tokens_total"},
    {kVllm, "observed.requests_per_s", kRate, "vllm:request_success_total"},
    {kVllm, "traffic.prompt_tokens", kLengths, "vllm:request_prompt_tokens"},
    {kVllm, "traffic.output_tokens", kLengths, "vllm:request_generation_tokens"},
    {kVllm, "stack.prefix_cache", kFlag, "vllm:cache_config_info", "enable_prefix_caching"},

    {kSglang, "observed.ttft_ms", kQuantiles, "sglang:time_to_first_token_seconds"},
    {kSglang, "observed.itl_ms", kQuantiles, "sglang:inter_token_latency_seconds"},
    {kSglang, "observed.itl_ms", kQuantiles, "sglang:time_per_output_token_seconds"},  // older
    {kSglang, "observed.total_ms", kQuantiles, "sglang:e2e_request_latency_seconds"},
    {kSglang, "observed.queue_ms_mean", kAverageMs, "sglang:queue_time_seconds"},
    {kSglang, "observed.running", kSum, "sglang:num_running_reqs"},
    {kSglang, "observed.waiting", kSum, "sglang:num_queue_reqs"},
    {kSglang, "observed.kv_usage", kMean, "sglang:token_usage"},
    // By cache_source: device, host, storage_*, or total where a request has no details; together
    // they count each token once.
    {kSglang, "observed.prefix_hit_rate", kRatio, "sglang:cached_tokens_total",
     "sglang:prompt_tokens_total"},
    {kSglang, "observed.prefix_hit_rate", kMean, "sglang:cache_hit_rate"},
    {kSglang, "observed.acceptance", kMean, "sglang:spec_accept_rate"},
    {kSglang, "observed.preemptions_per_s", kRate, "sglang:num_retracted_requests_total"},
    {kSglang, "observed.throughput_tok_s", kRate, "sglang:generation_tokens_total"},
    {kSglang, "observed.throughput_tok_s", kSum, "sglang:gen_throughput"},
    {kSglang, "observed.requests_per_s", kRate, "sglang:num_requests_total"},
    {kSglang, "traffic.prompt_tokens", kLengths, "sglang:prompt_tokens_histogram"},
    {kSglang, "traffic.output_tokens", kLengths, "sglang:generation_tokens_histogram"},

    {kTrtllm, "observed.ttft_ms", kQuantiles, "trtllm_time_to_first_token_seconds"},
    {kTrtllm,
     "observed.itl_ms",
     kQuantiles,
     "trtllm_time_per_output_token_seconds",
     {},
     kPerRequest},
    {kTrtllm, "observed.total_ms", kQuantiles, "trtllm_e2e_request_latency_seconds"},
    {kTrtllm, "observed.queue_ms_mean", kAverageMs, "trtllm_request_queue_time_seconds"},
    {kTrtllm, "observed.prefill_ms_mean", kAverageMs, "trtllm_request_prefill_time_seconds"},
    {kTrtllm, "observed.decode_ms_mean", kAverageMs, "trtllm_request_decode_time_seconds"},
    {kTrtllm, "observed.running", kSum, "trtllm_num_requests_running"},
    {kTrtllm, "observed.running", kSum, "trtllm_num_active_requests"},
    {kTrtllm, "observed.running", kSum, "nv_trt_llm_request_metrics", "request_type=scheduled"},
    {kTrtllm, "observed.waiting", kSum, "trtllm_num_requests_waiting"},
    {kTrtllm, "observed.waiting", kSum, "trtllm_server_queue_length"},
    {kTrtllm, "observed.waiting", kSum, "nv_trt_llm_request_metrics", "request_type=waiting"},
    {kTrtllm, "observed.kv_usage", kMean, "trtllm_kv_cache_utilization"},
    {kTrtllm, "observed.kv_usage", kMean, "nv_trt_llm_kv_cache_block_metrics",
     "kv_cache_block_type=fraction"},
    {kTrtllm, "observed.prefix_hit_rate", kRatio, "trtllm_prompt_cached_tokens_total",
     "trtllm_prompt_tokens_total"},
    {kTrtllm, "observed.prefix_hit_rate", kMean, "trtllm_kv_cache_hit_rate", {}, "of KV blocks"},
    {kTrtllm, "observed.acceptance", kRatio, "trtllm_spec_decode_accepted_tokens_total",
     "trtllm_spec_decode_drafted_tokens_total"},
    {kTrtllm, "observed.throughput_tok_s", kRate, "trtllm_generation_tokens_total"},
    {kTrtllm, "observed.requests_per_s", kRate, "trtllm_request_success_total"},
    // Each model of an ensemble counts the request.
    {kTrtllm, "observed.requests_per_s", kMaxRate, "nv_inference_request_success"},

    {kLlama, "observed.running", kSum, "llamacpp:requests_processing"},
    {kLlama, "observed.waiting", kSum, "llamacpp:requests_deferred"},
    {kLlama, "observed.kv_usage", kMean, "llamacpp:kv_cache_usage_ratio"},  // older
    {kLlama, "observed.acceptance", kRatio, "llamacpp:spec_decode_num_accepted_tokens_total",
     "llamacpp:spec_decode_num_draft_tokens_total"},
    {kLlama, "observed.throughput_tok_s", kRate, "llamacpp:tokens_predicted_total"},
};

constexpr std::array kPrefixes = {
    EnginePrefix{"weir", "weir_"},        EnginePrefix{kVllm, "vllm:"},
    EnginePrefix{kSglang, "sglang:"},     EnginePrefix{kTrtllm, "trtllm_"},
    EnginePrefix{kTrtllm, "nv_trt_llm_"}, EnginePrefix{kLlama, "llamacpp:"},
};

}  // namespace

std::span<const MetricRow> metric_rows() { return kRows; }

std::span<const EnginePrefix> engine_prefixes() { return kPrefixes; }

std::string_view rows_of(std::string_view engine) { return engine == "weir" ? kVllm : engine; }

}  // namespace weir::ops
