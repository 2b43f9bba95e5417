#include "telemetry/engine_metrics.h"

namespace weir::telemetry {
namespace {

// Seconds. The buckets vLLM uses, so that dashboards made for it fit; below 10 ms we are finer,
// since a small model on a CPU steps in a few milliseconds.
const std::vector<double> kFirstTokenBuckets = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08,
                                                0.1,   0.25,  0.5,  0.75, 1,    2.5,  5,
                                                7.5,   10,    20,   40,   80,   160};
const std::vector<double> kInterTokenBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                0.075, 0.1,    0.15,  0.2,  0.3,   0.4,
                                                0.5,   0.75,   1,     2.5,  5,     10};
const std::vector<double> kRequestBuckets = {0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1,  1.5, 2,   2.5,
                                             5,    10,   15,  20,  30,  40,  50, 60,  120, 240};
const std::vector<double> kStepBuckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05,
                                          0.075,  0.1,   0.15,   0.25,  0.5,  1,    2.5,  5};
const std::vector<double> kCountBuckets = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};

}  // namespace

EngineMetrics::EngineMetrics(Registry& r, const std::string& model_name)
    : registry_(&r), model_name_(model_name) {
  const Labels model = {{"model_name", model_name}};
  requests_waiting =
      r.gauge("vllm:num_requests_waiting", "Requests waiting to be processed.", model);
  requests_running = r.gauge("vllm:num_requests_running", "Requests in the batch.", model);
  kv_cache_usage = r.gauge("vllm:kv_cache_usage_perc", "KV cache use, 1 is full.", model);
  prefix_queries_tokens = r.counter("vllm:prefix_cache_queries_total",
                                    "Prompt tokens looked up in the prefix cache.", model);
  prefix_hits_tokens =
      r.counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.", model);
  preemptions = r.counter("vllm:num_preemptions_total",
                          "Requests taken out of the batch for lack of pages.", model);
  prompt_tokens = r.counter("vllm:prompt_tokens_total", "Prefill tokens processed.", model);
  generation_tokens = r.counter("vllm:generation_tokens_total", "Tokens generated.", model);
  draft_tokens = r.counter("vllm:spec_decode_num_draft_tokens_total",
                           "Guessed tokens that steps verified.", model);
  accepted_draft_tokens = r.counter("vllm:spec_decode_num_accepted_tokens_total",
                                    "Guessed tokens that became output.", model);
  time_to_first_token_s =
      r.histogram("vllm:time_to_first_token_seconds", "Arrival to first token, seconds.",
                  kFirstTokenBuckets, model);
  inter_token_latency_s =
      r.histogram("vllm:inter_token_latency_seconds",
                  "Time between two tokens of a request, seconds.", kInterTokenBuckets, model);
  e2e_latency_s = r.histogram("vllm:e2e_request_latency_seconds", "Arrival to last token, seconds.",
                              kRequestBuckets, model);
  queue_time_s = r.histogram("vllm:request_queue_time_seconds",
                             "Arrival to first scheduling, seconds.", kRequestBuckets, model);
  request_success = r.counter_family("vllm:request_success_total", "Requests that ended well.",
                                     "finished_reason", model);

  queue_depth_tokens =
      r.gauge("weir_queue_depth_tokens", "Prompt tokens of waiting requests.", model);
  kv_headroom_bytes = r.gauge("weir_kv_headroom_bytes", "Bytes of free KV pages.", model);
  step_s =
      r.histogram("weir_step_seconds", "Duration of an engine step, seconds.", kStepBuckets, model);
  predicted_ttft_error_s = r.histogram(
      "weir_predicted_ttft_error_seconds",
      "How far the time to first token that admission predicted was from the actual one, seconds.",
      kFirstTokenBuckets, model);
  batch_tokens = r.histogram("weir_step_tokens", "Tokens of an engine step.", kCountBuckets, model);
  batch_sequences =
      r.histogram("weir_step_sequences", "Sequences of an engine step.", kCountBuckets, model);
  errors =
      r.counter_family("weir_errors_total", "Requests that ended with an error.", "code", model);
  rejections =
      r.counter_family("weir_rejections_total", "Requests refused at admission.", "bound", model);
  cancelled =
      r.counter_family("weir_requests_cancelled_total", "Requests cancelled.", "reason", model);
  rejected_draft_tokens = r.counter("weir_speculation_rejected_tokens_total",
                                    "Guessed tokens that were computed in vain.", model);
  failed_steps =
      r.counter("weir_failed_steps_total", "Engine steps that failed and were rolled back.", model);
  prefix_pages = r.gauge("weir_prefix_cache_pages", "KV pages that the prefix cache holds.", model);
  prefix_evictions = r.counter("weir_prefix_cache_evicted_pages_total",
                               "KV pages that left the prefix cache for lack of room.", model);
  tier_pages = r.gauge("weir_prefix_tier_pages", "Evicted KV pages in the second tier.", model);
  tier_hits = r.counter("weir_prefix_tier_hit_pages_total",
                        "KV pages that came back from the second tier.", model);
}

void EngineMetrics::set_cache_config(const CacheConfig& config) {
  registry_
      ->gauge("vllm:cache_config_info", "Configuration of the KV cache; the value is always 1.",
              {{"model_name", model_name_},
               {"block_size", std::to_string(config.page_tokens)},
               {"num_gpu_blocks", std::to_string(config.pages)},
               {"cache_dtype", config.kv_type},
               {"enable_prefix_caching", config.prefix_caching ? "True" : "False"}})
      .set(1);
}

}  // namespace weir::telemetry
