#include "telemetry/engine_metrics.h"

#include <utility>

#include "telemetry/trace_ring.h"

namespace weir::telemetry {
namespace {

// Seconds. The buckets vLLM uses, so that dashboards made for it fit; below 10 ms we are finer,
// since a small model on a CPU steps in a few milliseconds.
const std::vector<double> kFirstTokenBuckets = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10,
                                                20,    40,    80,   160,  640,  2560};
const std::vector<double> kInterTokenBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,
                                                0.15,  0.2,    0.3,   0.4,  0.5,   0.75, 1,     2.5,
                                                5,     7.5,    10,    20,   40,    80};
const std::vector<double> kRequestBuckets = {0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1,    1.5,
                                             2,    2.5,  5,   10,  15,  20,  30,   40,
                                             50,   60,   120, 240, 480, 960, 1920, 7680};
const std::vector<double> kStepBuckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05,
                                          0.075,  0.1,   0.15,   0.25,  0.5,  1,    2.5,  5};
// Detokenizing and writing take microseconds, queueing may take minutes.
const std::vector<double> kPhaseBuckets = {0.00001, 0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25,
                                           0.5,     1,      2.5,   5,     10,   30,   60,  120};
const std::vector<double> kCountBuckets = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
const std::vector<double> kIterationBuckets = {1,   8,    16,   32,   64,   128,  256,
                                               512, 1024, 2048, 4096, 8192, 16384};
// vLLM's 1-2-5 steps; theirs end at the window, ours at a window that no model here passes.
const std::vector<double> kTokenBuckets = {1,     2,      5,      10,     20,     50,    100,
                                           200,   500,    1000,   2000,   5000,   10000, 20000,
                                           50000, 100000, 200000, 500000, 1000000};
const std::vector<double> kChoicesBuckets = {1, 2, 5, 10, 20};
constexpr std::array<const char*, kRequestPhases> kRequestPhaseNames = {
    "queue", "prefill", "decode", "detokenize", "write"};

Labels with(Labels labels, const std::string& name, const std::string& value) {
  labels[name] = value;
  return labels;
}

}  // namespace

EngineMetrics::EngineMetrics(Registry& r, const std::string& model_name)
    : registry_(&r),
      vllm_labels_{{"model_name", model_name}, {"engine", "0"}},
      labels_{{"model_name", model_name}} {
  add_vllm(r);
  add_vllm_histograms(r);
  add_own(r);
}

void EngineMetrics::add_vllm(Registry& r) {
  const Labels& l = vllm_labels_;
  requests_waiting = r.gauge("vllm:num_requests_waiting", "Requests waiting to be processed.", l);
  requests_running = r.gauge("vllm:num_requests_running", "Requests in the batch.", l);
  kv_cache_usage = r.gauge("vllm:kv_cache_usage_perc", "KV cache use, 1 is full.", l);
  prefix_queries_tokens = r.counter("vllm:prefix_cache_queries_total",
                                    "Prompt tokens looked up in the prefix cache.", l);
  prefix_hits_tokens =
      r.counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.", l);
  preemptions = r.counter("vllm:num_preemptions_total",
                          "Requests taken out of the batch for lack of pages.", l);
  prompt_tokens = r.counter("vllm:prompt_tokens_total", "Prefill tokens processed.", l);
  generation_tokens = r.counter("vllm:generation_tokens_total", "Tokens generated.", l);
  draft_tokens = r.counter("vllm:spec_decode_num_draft_tokens_total", "Tokens drafted.", l);
  accepted_draft_tokens = r.counter("vllm:spec_decode_num_accepted_tokens_total",
                                    "Drafted tokens that became output.", l);
  request_success = r.counter_family("vllm:request_success_total", "Requests that ended well.",
                                     "finished_reason", l);
  for (const char* reason : {"stop", "length", "abort"}) request_success.with(reason);
}

void EngineMetrics::add_vllm_histograms(Registry& r) {
  const Labels& l = vllm_labels_;
  time_to_first_token_s = r.histogram("vllm:time_to_first_token_seconds",
                                      "Arrival to first token, seconds.", kFirstTokenBuckets, l);
  inter_token_latency_s =
      r.histogram("vllm:inter_token_latency_seconds",
                  "Time between two tokens of a request, seconds.", kInterTokenBuckets, l);
  time_per_output_token_s =
      r.histogram("vllm:request_time_per_output_token_seconds",
                  "Mean time between the tokens of a request, seconds.", kInterTokenBuckets, l);
  e2e_latency_s = r.histogram("vllm:e2e_request_latency_seconds", "Arrival to last token, seconds.",
                              kRequestBuckets, l);
  queue_time_s = r.histogram("vllm:request_queue_time_seconds",
                             "Arrival to first scheduling, seconds.", kRequestBuckets, l);
  prefill_time_s = r.histogram("vllm:request_prefill_time_seconds",
                               "First scheduling to first token, seconds.", kRequestBuckets, l);
  decode_time_s = r.histogram("vllm:request_decode_time_seconds", "First token to last, seconds.",
                              kRequestBuckets, l);
  inference_time_s = r.histogram("vllm:request_inference_time_seconds",
                                 "First scheduling to last token, seconds.", kRequestBuckets, l);
  request_prompt_tokens =
      r.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", kTokenBuckets, l);
  request_generation_tokens = r.histogram("vllm:request_generation_tokens",
                                          "Generated tokens of a request.", kTokenBuckets, l);
  request_max_tokens = r.histogram("vllm:request_params_max_tokens",
                                   "The parameter max_tokens, where given.", kTokenBuckets, l);
  request_n = r.histogram("vllm:request_params_n", "The parameter n.", kChoicesBuckets, l);
  iteration_tokens =
      r.histogram("vllm:iteration_tokens_total", "Tokens of an engine step.", kIterationBuckets, l);
}

void EngineMetrics::add_own(Registry& r) {
  const Labels& l = labels_;
  queue_depth_tokens = r.gauge("weir_queue_depth_tokens", "Prompt tokens of waiting requests.", l);
  kv_headroom_bytes = r.gauge("weir_kv_headroom_bytes", "Bytes of free KV pages.", l);
  kv_pages = r.gauge("weir_kv_pages", "KV pages there are.", l);
  kv_free_pages = r.gauge("weir_kv_free_pages", "KV pages that are free.", l);
  preempted_sequences =
      r.gauge("weir_sequences_without_pages", "Sequences admitted or preempted, without pages.", l);
  tokens_per_s = r.gauge("weir_engine_tokens_per_second",
                         "Tokens computed a second, smoothed over about ten steps.", l);
  step_s =
      r.histogram("weir_step_seconds", "Duration of an engine step, seconds.", kStepBuckets, l);
  predicted_ttft_error_s = r.histogram(
      "weir_predicted_ttft_error_seconds",
      "How far the time to first token that admission predicted was from the actual one, seconds.",
      kFirstTokenBuckets, l);
  for (size_t i = 0; i < step_phase_s.size(); ++i)
    step_phase_s[i] =
        r.counter("weir_step_phase_seconds_total", "Time spent in a phase of steps, seconds.",
                  with(l, "phase", kTracePhaseNames[i]));
  batch_tokens = r.histogram("weir_step_tokens", "Tokens of an engine step.", kCountBuckets, l);
  batch_sequences =
      r.histogram("weir_step_sequences", "Sequences of an engine step.", kCountBuckets, l);
  const char* computed = "Tokens computed, those computed again after a preemption included.";
  prefill_tokens = r.counter("weir_computed_tokens_total", computed, with(l, "kind", "prefill"));
  decode_tokens = r.counter("weir_computed_tokens_total", computed, with(l, "kind", "decode"));
  for (size_t i = 0; i < kRequestPhases; ++i)
    request_phase_s[i] =
        r.histogram("weir_request_phase_seconds", "Time of a request in a phase, seconds.",
                    kPhaseBuckets, with(l, "phase", kRequestPhaseNames[i]));
  errors = r.counter_family("weir_errors_total", "Requests that ended with an error.", "code", l);
  rejections =
      r.counter_family("weir_rejections_total", "Requests refused by a bound.", "bound", l);
  cancelled = r.counter_family("weir_requests_cancelled_total", "Requests cancelled.", "reason", l);
  rejected_draft_tokens = r.counter("weir_speculation_rejected_tokens_total",
                                    "Guessed tokens that were computed in vain.", l);
  failed_steps =
      r.counter("weir_failed_steps_total", "Engine steps that failed and were rolled back.", l);
  prefix_pages = r.gauge("weir_prefix_cache_pages", "KV pages that the prefix cache holds.", l);
  prefix_evictions = r.counter("weir_prefix_cache_evicted_pages_total",
                               "KV pages that left the prefix cache for lack of room.", l);
  tier_pages = r.gauge("weir_prefix_tier_pages", "Evicted KV pages in the second tier.", l);
  tier_hits = r.counter("weir_prefix_tier_hit_pages_total",
                        "KV pages that came back from the second tier.", l);
  // So that rates have a zero to start from.
  errors.with("internal_error");
  errors.with("server_overloaded");
  rejections.with("max_queued_requests");
  rejections.with("max_queued_tokens");
  cancelled.with("client_gone");
}

void EngineMetrics::set_cache_config(const CacheConfig& config) {
  Labels labels = vllm_labels_;
  labels["block_size"] = std::to_string(config.page_tokens);
  labels["num_gpu_blocks"] = std::to_string(config.pages);
  labels["cache_dtype"] = config.kv_type;
  labels["enable_prefix_caching"] = config.prefix_caching ? "True" : "False";
  registry_
      ->gauge("vllm:cache_config_info", "Configuration of the KV cache; the value is always 1.",
              labels)
      .set(1);
}

}  // namespace weir::telemetry
