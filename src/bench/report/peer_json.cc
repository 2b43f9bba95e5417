// A run under the names that other load generators write.
#include <cmath>

#include "bench/report/json.h"

namespace weir::bench {
namespace {

using text::Json;

Json known(double v) { return std::isnan(v) ? Json() : Json(v); }

// vLLM spells whole percentiles without a point: p99, p99.9.
constexpr const char* kVllmQuantiles[] = {"p50", "p90", "p95", "p99", "p99.9"};

void set_vllm(Json& o, const std::string& name, const Distribution& d) {
  if (d.count == 0) return;
  o.set("mean_" + name + "_ms", known(d.mean.value));
  o.set("median_" + name + "_ms", known(d.p50().value));
  o.set("std_" + name + "_ms", known(d.stddev));
  for (size_t i = 0; i < kQuantiles.size(); ++i)
    o.set(fmt::format("{}_{}_ms", kVllmQuantiles[i], name), known(d.quantiles[i].value));
}

// guidellm's DistributionSummary; `scale` from weir's unit to its.
Json guidellm_distribution(const Distribution& d, double scale) {
  Json o = Json::object();
  const auto set = [&](const char* name, double v) { o.set(name, known(v * scale)); };
  set("mean", d.mean.value);
  set("median", d.p50().value);
  o.set("variance", known(d.stddev * d.stddev * scale * scale));
  set("std_dev", d.stddev);
  set("min", d.min);
  set("max", d.max);
  o.set("count", d.count);
  set("total_sum", d.mean.value * static_cast<double>(d.count));
  Json p = Json::object();
  // Those that weir has no exact value of come from its histogram (2 digits).
  constexpr std::pair<const char*, double> kFromHistogram[] = {
      {"p001", 0.001}, {"p01", 0.01}, {"p05", 0.05}, {"p10", 0.1}, {"p25", 0.25}, {"p75", 0.75}};
  for (const auto& [name, q] : kFromHistogram) p.set(name, d.histogram.quantile(q) * scale);
  for (size_t i = 0; i < kQuantiles.size(); ++i)
    p.set(kQuantileNames[i], known(d.quantiles[i].value * scale));
  o.set("percentiles", std::move(p));
  return o;
}

// Its StatusDistributionSummary of what ended well.
void set_guidellm(Json& metrics, const char* name, const Distribution& d, double scale = 1) {
  if (d.count == 0) return;
  Json status = Json::object();
  status.set("successful", guidellm_distribution(d, scale));
  metrics.set(name, std::move(status));
}

void set_guidellm_mean(Json& metrics, const char* name, double mean) {
  Json value = Json::object();
  value.set("mean", known(mean));
  Json status = Json::object();
  status.set("successful", std::move(value));
  metrics.set(name, std::move(status));
}

Json guidellm_metrics(const LoadSummary& r) {
  Json totals = Json::object();
  totals.set("successful", r.ok);
  totals.set("incomplete", int64_t{0});
  totals.set("errored", r.refused + r.failed);
  totals.set("total", r.requests);
  Json m = Json::object();
  m.set("request_totals", std::move(totals));
  set_guidellm_mean(m, "requests_per_second", r.requests_per_s.value);
  set_guidellm_mean(m, "request_concurrency", r.mean_in_flight);
  set_guidellm_mean(m, "prompt_tokens_per_second", r.prompt_tokens_per_s.value);
  set_guidellm_mean(m, "output_tokens_per_second", r.output_tokens_per_s.value);
  set_guidellm_mean(m, "tokens_per_second", r.total_tokens_per_s.value);
  set_guidellm(m, "request_latency", r.e2e_ms, 1e-3);  // seconds there
  set_guidellm(m, "time_to_first_token_ms", r.ttft_ms);
  // guidellm's inter-token latency is a request's mean, (last - first) / (tokens - 1): weir's TPOT.
  set_guidellm(m, "inter_token_latency_ms", r.tpot_ms);
  return m;
}

}  // namespace

Json vllm_json(const LoadSummary& r) {
  Json o = Json::object();
  o.set("label", r.label);
  if (const auto model = r.settings.find("model"); model != r.settings.end())
    o.set("model_id", model->second);
  o.set("num_prompts", r.requests);
  o.set("request_rate", r.offered_per_s > 0 ? Json(r.offered_per_s) : Json("inf"));
  o.set("max_concurrency", r.concurrency > 0 ? Json(int64_t{r.concurrency}) : Json());
  o.set("duration", r.duration_s);
  o.set("completed", r.ok);
  o.set("failed", r.refused + r.failed);
  o.set("total_input_tokens", r.prompt_tokens);
  o.set("total_output_tokens", r.output_tokens);
  o.set("request_throughput", known(r.requests_per_s.value));
  o.set("request_goodput", r.slo.any() ? known(r.goodput.requests_per_s.value) : Json());
  o.set("output_throughput", known(r.output_tokens_per_s.value));
  o.set("total_token_throughput", known(r.total_tokens_per_s.value));
  o.set("max_output_tokens_per_s", r.peak_output_tokens_per_s);
  o.set("max_concurrent_requests", int64_t{r.peak_in_flight});
  set_vllm(o, "ttft", r.ttft_ms);
  set_vllm(o, "tpot", r.tpot_ms);
  set_vllm(o, "itl", r.itl_ms);
  set_vllm(o, "e2el", r.e2e_ms);
  return o;
}

Json guidellm_json(const Report& report) {
  Json benchmarks = Json::array();
  for (const LoadSummary& r : report.runs) {
    Json b = Json::object();
    b.set("type_", "generative_benchmark");
    b.set("duration", r.duration_s);
    b.set("warmup_duration", r.steady.found ? r.steady.begin_s : 0.0);
    b.set("metrics", guidellm_metrics(r));
    benchmarks.push_back(std::move(b));
  }
  Json o = Json::object();
  o.set("benchmarks", std::move(benchmarks));
  return o;
}

}  // namespace weir::bench
