// What the engines' metrics look like, written by hand after their sources: names, labels and
// bucket bounds are theirs, values are made up. Two scrapes 10 s apart where rates matter.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace weir::ops {

// Samples of a histogram: cumulative counts at the bounds, then +Inf.
inline std::string histogram_text(const std::string& name, const std::string& labels,
                                  const std::vector<std::pair<const char*, int>>& buckets,
                                  int count, double sum) {
  const std::string comma = labels.empty() ? "" : labels + ",";
  std::string out = "# TYPE " + name + " histogram\n";
  for (const auto& [bound, n] : buckets)
    out += fmt::format("{}_bucket{{{}le=\"{}\"}} {}.0\n", name, comma, bound, n);
  out += fmt::format("{}_bucket{{{}le=\"+Inf\"}} {}.0\n", name, comma, count);
  out += fmt::format("{0}_count{{{1}}} {2}.0\n{0}_sum{{{1}}} {3}\n", name, labels, count, sum);
  return out + fmt::format("{}_created{{{}}} 1.7640e+09\n", name, labels);
}

// vLLM from 0.11 on (vllm/v1/metrics/loggers.py): a series an engine (data
// parallel rank).
inline std::string vllm_text(bool later) {
  const std::string l = R"(engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct")";
  const int n = later ? 300 : 100;
  const std::string comma = l + ",";
  std::string out =
      "# HELP python_info Python platform information\n# TYPE python_info gauge\n"
      "python_info{implementation=\"CPython\",major=\"3\",minor=\"12\",patchlevel=\"11\",version="
      "\"3.12."
      "11\"} 1.0\n";
  out += fmt::format(
      "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{{{0}}} {1}.0\n"
      "# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{{{0}}} {2}.0\n"
      "# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{{{0}}} 0.4\n"
      "vllm:prefix_cache_queries_total{{{0}}} {3}.0\nvllm:prefix_cache_hits_total{{{0}}} {4}.0\n"
      "vllm:num_preemptions_total{{{0}}} {5}.0\n"
      "vllm:prompt_tokens_total{{{0}}} 50000.0\nvllm:generation_tokens_total{{{0}}} {6}.0\n"
      "vllm:spec_decode_num_draft_tokens_total{{{0}}} 1000.0\n"
      "vllm:spec_decode_num_accepted_tokens_total{{{0}}} 700.0\n"
      "vllm:request_success_total{{{0},finished_reason=\"stop\"}} {7}.0\n"
      "vllm:request_success_total{{{0},finished_reason=\"length\"}} 10.0\n"
      "vllm:cache_config_info{{block_size=\"16\",cache_dtype=\"auto\",enable_prefix_caching="
      "\"True\","
      "engine=\"0\",num_gpu_blocks=\"27120\"}} 1.0\n",
      l, later ? 20 : 10, later ? 6 : 0, later ? 60000 : 20000, later ? 25000 : 5000, later ? 7 : 2,
      later ? 52000 : 12000, later ? 290 : 90);
  // In the window: 200 requests, of which 100 below 0.1 s and 100 between 0.25 s and 0.5 s.
  out += histogram_text("vllm:time_to_first_token_seconds", l,
                        {{"0.1", later ? 200 : 100}, {"0.25", later ? 200 : 100}, {"0.5", n}}, n,
                        later ? 60 : 5);
  out += histogram_text(
      "vllm:inter_token_latency_seconds", l,
      {{"0.01", 0}, {"0.025", later ? 40000 : 10000}, {"0.05", later ? 40000 : 10000}},
      later ? 40000 : 10000, later ? 800 : 200);
  out += histogram_text("vllm:e2e_request_latency_seconds", l,
                        {{"5.0", later ? 300 : 100}, {"10.0", n}}, n, later ? 900 : 300);
  out += histogram_text("vllm:request_queue_time_seconds", l, {{"0.3", n}}, n, later ? 22 : 2);
  out += histogram_text("vllm:request_prefill_time_seconds", l, {{"0.3", n}}, n, later ? 45 : 5);
  out += histogram_text("vllm:request_decode_time_seconds", l, {{"5.0", n}}, n, later ? 700 : 200);
  out += histogram_text("vllm:request_prompt_tokens", l,
                        {{"200.0", 0}, {"500.0", n}, {"1000.0", n}}, n, 400.0 * n);
  out += histogram_text("vllm:request_generation_tokens", l, {{"100.0", 0}, {"200.0", n}}, n,
                        150.0 * n);
  return out;
}

// SGLang of 2026 (srt metrics_collector.py), metrics of all schedulers: two tensor ranks.
inline std::string sglang_text(bool later) {
  const std::string m = R"(model_name="Qwen/Qwen3-32B")";
  const auto rank = [&m](int tp) {
    return fmt::format(R"(engine_type="unified",{},pp_rank="0",tp_rank="{}")", m, tp);
  };
  std::string out;
  for (const int tp : {0, 1}) {
    out += fmt::format(
        "sglang:num_running_reqs{{{0}}} 12.0\nsglang:num_queue_reqs{{{0}}} 3.0\n"
        "sglang:token_usage{{{0}}} 0.28\nsglang:cache_hit_rate{{{0}}} 0.9\n"
        "sglang:gen_throughput{{{0}}} 812.5\nsglang:spec_accept_rate{{{0}}} 0.0\n"
        "sglang:num_retracted_requests_total{{{0}}} {1}.0\n",
        rank(tp), later ? 5 : 0);
  }
  out += histogram_text("sglang:queue_time_seconds", rank(0), {{"0.1", 100}}, 100, 2);
  out += fmt::format(
      "sglang:prompt_tokens_total{{{0}}} {1}.0\nsglang:generation_tokens_total{{{0}}} {2}.0\n"
      "sglang:cached_tokens_total{{cache_source=\"device\",{0}}} {3}.0\n"
      "sglang:cached_tokens_total{{cache_source=\"host\",{0}}} 100.0\n"
      "sglang:num_requests_total{{{0}}} {4}.0\n",
      m, later ? 6000 : 2000, later ? 9000 : 1000, later ? 1900 : 900, later ? 40 : 20);
  out +=
      histogram_text("sglang:time_to_first_token_seconds", m, {{"0.1", 0}, {"0.2", 100}}, 100, 15);
  out += histogram_text("sglang:inter_token_latency_seconds", m, {{"0.02", 1000}}, 1000, 15);
  return out +
         histogram_text("sglang:e2e_request_latency_seconds", m, {{"2", 0}, {"4", 100}}, 100, 300);
}

// TensorRT-LLM (tensorrt_llm/metrics/collector.py of 2026), trtllm-serve's /prometheus/metrics.
inline std::string trtllm_text() {
  const std::string l = R"(engine_type="trtllm",model_name="nemotron-nano-3")";
  std::string out = fmt::format(
      "trtllm_request_success_total{{{0},finished_reason=\"stop\"}} 8.0\n"
      "trtllm_num_requests_running{{{0}}} 4.0\ntrtllm_num_requests_waiting{{{0}}} 1.0\n"
      "trtllm_kv_cache_hit_rate{{{0}}} 0.25\ntrtllm_kv_cache_utilization{{{0}}} 0.5\n",
      l);
  out +=
      histogram_text("trtllm_time_to_first_token_seconds", l, {{"0.02", 0}, {"0.04", 8}}, 8, 0.24);
  out += histogram_text("trtllm_time_per_output_token_seconds", l, {{"0.01", 8}}, 8, 0.04);
  out += histogram_text("trtllm_e2e_request_latency_seconds", l, {{"0.3", 0}}, 8, 8);
  return out + histogram_text("trtllm_request_queue_time_seconds", l, {{"0.3", 8}}, 8, 0.08);
}

// Triton's tensorrtllm_backend (README, "Triton Metrics"), port 8002.
inline std::string triton_text(bool later) {
  return fmt::format(
      "# HELP nv_inference_request_success Number of successful inference requests, all batch "
      "sizes\n"
      "# TYPE nv_inference_request_success counter\n"
      "nv_inference_request_success{{model=\"ensemble\",version=\"1\"}} {0}\n"
      "nv_inference_request_success{{model=\"tensorrt_llm\",version=\"1\"}} {0}\n"
      "# HELP nv_trt_llm_request_metrics TRT LLM request metrics\n"
      "# TYPE nv_trt_llm_request_metrics gauge\n"
      "nv_trt_llm_request_metrics{{model=\"tensorrt_llm\",request_type=\"waiting\",version=\"1\"}} "
      "2\n"
      "nv_trt_llm_request_metrics{{model=\"tensorrt_llm\",request_type=\"context\",version=\"1\"}} "
      "1\n"
      "nv_trt_llm_request_metrics{{model=\"tensorrt_llm\",request_type=\"scheduled\",version=\"1\"}"
      "} 7\n"
      "nv_trt_llm_request_metrics{{model=\"tensorrt_llm\",request_type=\"max\",version=\"1\"}} "
      "512\n"
      "nv_trt_llm_kv_cache_block_metrics{{kv_cache_block_type=\"fraction\",model=\"tensorrt_llm\","
      "version=\"1\"}} 0.125\n"
      "nv_trt_llm_kv_cache_block_metrics{{kv_cache_block_type=\"tokens_per\",model=\"tensorrt_"
      "llm\","
      "version=\"1\"}} 64\n",
      later ? 150 : 100);
}

// llama.cpp of late 2026 (tools/server, GET /metrics with --metrics).
inline std::string llama_text(bool later) {
  return fmt::format(
      "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.\n"
      "# TYPE llamacpp:prompt_tokens_total counter\nllamacpp:prompt_tokens_total 2136\n"
      "llamacpp:prompt_seconds_total 0.936\nllamacpp:tokens_predicted_total {}\n"
      "llamacpp:tokens_predicted_seconds_total 6.1\nllamacpp:n_decode_total 552\n"
      "llamacpp:n_tokens_max 3100\nllamacpp:spec_decode_num_draft_tokens_total 400\n"
      "llamacpp:spec_decode_num_accepted_tokens_total 300\n"
      "llamacpp:n_busy_slots_per_decode 1.4\nllamacpp:prompt_tokens_seconds 2282\n"
      "llamacpp:predicted_tokens_seconds 89.2\nllamacpp:requests_processing 2\n"
      "llamacpp:requests_deferred 0\n",
      later ? 1500 : 500);
}

}  // namespace weir::ops
