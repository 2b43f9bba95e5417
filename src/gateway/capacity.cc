// Names as they stand in the engines' sources of November 2026: vLLM vllm/v1/metrics/loggers.py;
// SGLang python/sglang/srt/observability/metrics_collector.py (SchedulerMetricsCollector);
// TensorRT-LLM tensorrt_llm/metrics/collector.py (trtllm-serve, which has JSON at /metrics and this
// at /prometheus/metrics); llama.cpp tools/server/README.md, "GET /metrics" (with --metrics);
// Dynamo's metrics catalog, "dynamo_frontend_*" (the frontend's own port); weir
// telemetry/engine_metrics.cc. Names of older versions follow those that replaced them.
#include "gateway/capacity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "base/units.h"
#include "text/prometheus_text.h"

namespace weir::gateway {
namespace {

using text::MetricSample;

// Of several names for a figure the first that is there counts; "": the engine does not tell.
struct EngineNames {
  std::string_view engine;
  std::string_view path;
  std::string_view waiting;
  std::string_view running;
  std::array<std::string_view, 2> kv_usage;
  std::string_view queued_tokens;
};

constexpr EngineNames kEngines[] = {
    {"weir",
     "/metrics",
     "vllm:num_requests_waiting",
     "vllm:num_requests_running",
     {"vllm:kv_cache_usage_perc"},
     "weir_queue_depth_tokens"},
    {"vllm",
     "/metrics",
     "vllm:num_requests_waiting",
     "vllm:num_requests_running",
     {"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"},
     ""},
    {"sglang",
     "/metrics",
     "sglang:num_queue_reqs",
     "sglang:num_running_reqs",
     {"sglang:token_usage"},
     ""},
    {"trtllm",
     "/prometheus/metrics",
     "trtllm_num_requests_waiting",
     "trtllm_num_requests_running",
     {"trtllm_kv_cache_utilization"},
     ""},
    {"llamacpp",
     "/metrics",
     "llamacpp:requests_deferred",
     "llamacpp:requests_processing",
     {"llamacpp:kv_cache_usage_ratio"},  // gone since 2025
     ""},
    {"dynamo",
     "/metrics",
     "dynamo_frontend_queued_requests",
     "dynamo_frontend_inflight_requests",
     {},
     ""},
};

const EngineNames* names_of(std::string_view engine) {
  const auto* found = std::find_if(std::begin(kEngines), std::end(kEngines),
                                   [&](const EngineNames& e) { return e.engine == engine; });
  return found == std::end(kEngines) ? nullptr : found;
}

// Ranks of a tensor or pipeline above the first repeat it; SGLang repeats a queue's length by
// priority beside the whole of it.
bool repeats(const MetricSample& s) {
  for (const std::string_view label : {"tp_rank", "pp_rank"}) {
    const std::string_view rank = s.label(label);
    if (!rank.empty() && rank != "0") return true;
  }
  return !s.label("priority").empty();
}

struct Sum {
  double sum = 0;
  int series = 0;
};

// Nothing there is below 0; NaN and infinity say nothing.
Sum sum_of(std::span<const MetricSample> samples, std::string_view name) {
  Sum out;
  if (name.empty()) return out;
  for (const MetricSample& s : samples) {
    if (s.name != name || repeats(s) || !std::isfinite(s.value) || s.value < 0) continue;
    out.sum += s.value;
    ++out.series;
  }
  return out;
}

template <typename T>
std::optional<T> whole(std::span<const MetricSample> samples, std::string_view name) {
  const Sum s = sum_of(samples, name);
  if (s.series == 0) return std::nullopt;
  // A queue of 10^9 is as full as any longer one.
  return static_cast<T>(std::llround(std::min(s.sum, 1e9)));
}

}  // namespace

std::string_view metrics_path(std::string_view engine) {
  const EngineNames* names = names_of(engine);
  return names == nullptr ? "" : names->path;
}

Result<CapacitySignals> read_capacity(std::string_view engine, std::string_view text) {
  const EngineNames* names = names_of(engine);
  if (names == nullptr)
    return make_error(ErrorCode::kUnsupported, "no metrics of the engine {} are known", engine);
  std::vector<std::string_view> wanted;
  for (const std::string_view name : {names->waiting, names->running, names->kv_usage[0],
                                      names->kv_usage[1], names->queued_tokens})
    if (!name.empty()) wanted.push_back(name);
  text::PrometheusLimits limits;
  limits.text_bytes = kMaxMetricsBytes;
  limits.samples = 20'000;
  WEIR_ASSIGN(const std::vector<MetricSample> samples,
              text::parse_prometheus(text, limits, wanted));
  CapacitySignals out;
  out.waiting = whole<int32_t>(samples, names->waiting);
  out.running = whole<int32_t>(samples, names->running);
  out.queued_tokens = whole<int64_t>(samples, names->queued_tokens);
  for (const std::string_view name : names->kv_usage) {
    const Sum s = sum_of(samples, name);
    if (s.series == 0 || out.kv_usage.has_value()) continue;
    out.kv_usage = static_cast<float>(std::min(s.sum / s.series, 1.0));
  }
  // Dynamo counts what waits among what is in flight.
  if (engine == "dynamo" && out.running.has_value())
    out.running = std::max(0, *out.running - out.waiting.value_or(0));
  if (!out.waiting && !out.running && !out.kv_usage && !out.queued_tokens)
    return make_error(ErrorCode::kUnsupported, "the metrics have none of {}'s names, as {}", engine,
                      names->waiting);
  return out;
}

void apply_report(const std::optional<CapacityReport>& report, double waiting_tokens,
                  int64_t fresh_ns, int64_t now_ns, EndpointView& view) {
  view.signals_age_ms = -1;
  view.waiting = view.requests = 0;
  view.kv_usage = 0;
  if (!report.has_value() || now_ns - report->at_ns > fresh_ns) return;
  const CapacitySignals& said = report->said;
  const int64_t age_ms = (now_ns - report->at_ns) / kNsPerMs;
  view.signals_age_ms =
      static_cast<int32_t>(std::clamp<int64_t>(age_ms, 0, std::numeric_limits<int32_t>::max()));
  view.waiting = said.waiting.value_or(0);
  view.kv_usage = said.kv_usage.value_or(0.0F);
  const int32_t come = view.in_flight - report->own_in_flight;
  view.requests = std::max(0, view.waiting + said.running.value_or(0) + come);
  const int64_t told =
      said.queued_tokens.value_or(std::llround(view.waiting * std::max(waiting_tokens, 0.0)));
  view.queued_tokens =
      std::max(view.queued_tokens, told + (view.queued_tokens - report->own_queued_tokens));
}

}  // namespace weir::gateway
