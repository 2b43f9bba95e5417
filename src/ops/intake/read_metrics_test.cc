#include "ops/intake/read_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "ops/intake/metric_table.h"
#include "ops/intake/metrics_snapshots_testing.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kWindow = 10;

Scrape scraped(const std::string& text, double at_s) {
  auto samples = text::parse_prometheus(text);
  EXPECT_TRUE(samples.ok()) << samples.error().message;
  return {samples.ok() ? std::move(*samples) : std::vector<text::MetricSample>(), at_s};
}

Result<MetricsReading> reading_of(const std::string& later, const std::string& earlier = "") {
  const Scrape now = scraped(later, kWindow);
  if (earlier.empty()) return intake_of_metrics(now, nullptr, "http://h:1");
  const Scrape before = scraped(earlier, 0);
  return intake_of_metrics(now, &before, "http://h:1");
}

Intake intake_of(const std::string& later, const std::string& earlier = "") {
  auto r = reading_of(later, earlier);
  EXPECT_TRUE(r.ok()) << r.error().message;
  if (!r.ok()) return {};
  EXPECT_THAT(r->skipped, IsEmpty());
  return r->intake;
}

TEST(MetricTable, EveryRowHasAFieldThatItsKindFits) {
  for (const MetricRow& row : metric_rows()) {
    std::vector<std::string> fields = {std::string(row.field)};
    if (row.kind == MetricKind::kQuantiles || row.kind == MetricKind::kLengths)
      fields = {fields[0] + "_p50", fields[0] + "_p95", fields[0] + "_p99"};
    if (row.kind == MetricKind::kLengths) fields.push_back(std::string(row.field) + "_mean");
    for (const std::string& field : fields) {
      const IntakeField* f = find_intake_field(field);
      ASSERT_NE(f, nullptr) << field;
      EXPECT_EQ(f->key.type,
                row.kind == MetricKind::kFlag ? config::Type::kBool : config::Type::kNumber)
          << field;
    }
    const bool known = std::any_of(engine_prefixes().begin(), engine_prefixes().end(),
                                   [&](const auto& p) { return p.engine == row.engine; });
    EXPECT_TRUE(known || row.metric.starts_with("nv_inference")) << row.metric;
  }
  const IntakeField& engine = *find_intake_field("stack.engine");
  for (const EnginePrefix& p : engine_prefixes())
    EXPECT_THAT(engine.key.spec.choices, ::testing::Contains(p.engine));
}

TEST(ReadMetrics, VllmOverAWindow) {
  const Intake i = intake_of(vllm_text(true), vllm_text(false));
  EXPECT_EQ(i.text("stack.engine"), "vllm");
  EXPECT_EQ(i.flag("stack.prefix_cache"), true);
  // 200 values: half below 0.1 s, half from 0.25 to 0.5.
  EXPECT_EQ(i.number("observed.ttft_ms_p50"), 100);
  EXPECT_EQ(i.number("observed.ttft_ms_p95"), 475);
  EXPECT_EQ(i.number("observed.itl_ms_p50"), 17.5);
  EXPECT_EQ(i.number("observed.queue_ms_mean"), 100);
  EXPECT_EQ(i.number("observed.prefill_ms_mean"), 200);
  EXPECT_EQ(i.number("observed.decode_ms_mean"), 2500);
  EXPECT_EQ(i.number("observed.running"), 15);
  EXPECT_EQ(i.number("observed.waiting"), 3);
  EXPECT_EQ(i.number("traffic.concurrency"), 18);
  EXPECT_EQ(i.number("observed.kv_usage"), 0.4);
  EXPECT_EQ(i.number("observed.prefix_hit_rate"), 0.5);
  EXPECT_EQ(i.number("observed.preemptions_per_s"), 0.5);
  EXPECT_EQ(i.number("observed.throughput_tok_s"), 4000);
  EXPECT_EQ(i.number("observed.requests_per_s"), 20);
  EXPECT_EQ(i.number("traffic.prompt_tokens_mean"), 400);
  EXPECT_EQ(i.number("traffic.prompt_tokens_p50"), 350);
  EXPECT_EQ(i.number("traffic.output_tokens_mean"), 150);
  EXPECT_EQ(i.find("observed.acceptance"), nullptr);  // nothing was drafted in the window
  const IntakeValue& ttft = *i.find("observed.ttft_ms_p95");
  EXPECT_EQ(ttft.origin, Origin::kMeasured);
  EXPECT_EQ(ttft.evidence,
            "http://h:1: vllm:time_to_first_token_seconds over 10 s (200 values); interpolated "
            "within a bucket");
}

TEST(ReadMetrics, OneScrapeHasNoRatesAndCountsFromTheStart) {
  const Intake i = intake_of(vllm_text(false));
  for (const char* field :
       {"observed.throughput_tok_s", "observed.requests_per_s", "observed.preemptions_per_s"})
    EXPECT_EQ(i.find(field), nullptr) << field;
  EXPECT_EQ(i.number("observed.running"), 10);
  EXPECT_EQ(i.number("observed.acceptance"), 0.7);
  EXPECT_EQ(i.number("observed.prefix_hit_rate"), 0.25);
  EXPECT_EQ(i.number("observed.ttft_ms_p50"), 50);
  EXPECT_THAT(i.find("observed.ttft_ms_p50")->evidence, HasSubstr("since the server started"));
  EXPECT_THAT(i.find("observed.running")->evidence, HasSubstr("at one moment"));
}

TEST(ReadMetrics, SglangCountsATensorRankOnce) {
  const Intake i = intake_of(sglang_text(true), sglang_text(false));
  EXPECT_EQ(i.text("stack.engine"), "sglang");
  EXPECT_EQ(i.number("observed.running"), 12);
  EXPECT_EQ(i.number("traffic.concurrency"), 15);
  EXPECT_EQ(i.number("observed.kv_usage"), 0.28);
  EXPECT_EQ(i.number("observed.prefix_hit_rate"), 0.25);  // of counters, not the gauge
  EXPECT_EQ(i.number("observed.throughput_tok_s"), 800);
  EXPECT_EQ(i.number("observed.requests_per_s"), 2);
  EXPECT_EQ(i.number("observed.preemptions_per_s"), 0.5);
  // No request came to its end between the scrapes: the whole time instead.
  EXPECT_EQ(i.number("observed.ttft_ms_p50"), 150);
  EXPECT_THAT(i.find("observed.ttft_ms_p50")->evidence,
              HasSubstr("since the server started, none in the time between"));
  EXPECT_EQ(i.number("observed.queue_ms_mean"), 20);
  // With one scrape the server's own estimate.
  EXPECT_EQ(intake_of(sglang_text(false)).number("observed.throughput_tok_s"), 812.5);
}

TEST(ReadMetrics, TensorRtLlm) {
  const Intake i = intake_of(trtllm_text());
  EXPECT_EQ(i.text("stack.engine"), "tensorrt-llm");
  EXPECT_EQ(i.number("observed.ttft_ms_p50"), 30);
  EXPECT_THAT(i.find("observed.itl_ms_p50")->evidence,
              HasSubstr("the mean of a request, not of a gap"));
  EXPECT_EQ(i.number("observed.kv_usage"), 0.5);
  EXPECT_EQ(i.number("observed.prefix_hit_rate"), 0.25);
  EXPECT_EQ(i.number("traffic.concurrency"), 5);
  // All eight took longer than the last bound.
  EXPECT_EQ(i.number("observed.total_ms_p95"), 300);
  EXPECT_THAT(i.find("observed.total_ms_p95")->evidence,
              HasSubstr("at least, it is behind the last bucket"));
}

TEST(ReadMetrics, TritonCountsARequestOnce) {
  const Intake i = intake_of(triton_text(true), triton_text(false));
  EXPECT_EQ(i.text("stack.engine"), "tensorrt-llm");
  EXPECT_EQ(i.number("observed.running"), 7);
  EXPECT_EQ(i.number("observed.waiting"), 2);
  EXPECT_EQ(i.number("observed.kv_usage"), 0.125);
  EXPECT_EQ(i.number("observed.requests_per_s"), 5);
}

TEST(ReadMetrics, LlamaCpp) {
  const Intake i = intake_of(llama_text(true), llama_text(false));
  EXPECT_EQ(i.text("stack.engine"), "llama.cpp");
  EXPECT_EQ(i.number("observed.throughput_tok_s"), 100);
  EXPECT_EQ(i.number("traffic.concurrency"), 2);
  EXPECT_EQ(intake_of(llama_text(true)).number("observed.acceptance"), 0.75);
}

TEST(ReadMetrics, WeirShowsVllmsNames) {
  const Intake i =
      intake_of(vllm_text(true) + "weir_kv_pages 7\n", vllm_text(false) + "weir_kv_pages 7\n");
  EXPECT_EQ(i.text("stack.engine"), "weir");
  EXPECT_EQ(i.number("observed.throughput_tok_s"), 4000);
}

TEST(ReadMetrics, AGatewayIsNoEngine) {
  const auto r = reading_of("weir_http_connections 1\nweir_gateway_in_flight 2\n");
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.error().message, HasSubstr("read those of the servers behind it"));
}

TEST(ReadMetrics, AnIdleServerHasNoConcurrency) {
  const auto r = reading_of("llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\n");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->intake.find("traffic.concurrency"), nullptr);
  EXPECT_THAT(r->skipped, ElementsAre(HasSubstr("measure under load")));
}

TEST(ReadMetrics, ARestartedServerIsAnError) {
  const auto r = reading_of(vllm_text(false), vllm_text(true));
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.error().message,
              HasSubstr("went back between the two scrapes: the server was restarted"));
}

TEST(ReadMetrics, ACounterThatWentBackIsAnError) {
  const auto r = reading_of(llama_text(false), llama_text(true));
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.error().message,
              HasSubstr("llamacpp:tokens_predicted_total went back between the two scrapes"));
}

TEST(ReadMetrics, OtherMetricsAreNoEngine) {
  const auto r = reading_of("go_goroutines 8\nprocess_open_fds 3\n");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(r.error().message, HasSubstr("(go_goroutines, process_open_fds)"));
  EXPECT_THAT(reading_of("").error().message, HasSubstr("(none)"));
}

TEST(ReadMetrics, ValuesThatNoFieldTakesAreSaid) {
  const auto r = reading_of(
      "vllm:kv_cache_usage_perc 37\nvllm:num_requests_running NaN\nvllm:num_requests_waiting +Inf\n"
      "vllm:time_to_first_token_seconds_count 5\nvllm:time_to_first_token_seconds_sum NaN\n"
      "vllm:e2e_request_latency_seconds_count 2\nvllm:e2e_request_latency_seconds_bucket{le=\"x\"} "
      "1\n"
      "vllm:e2e_request_latency_seconds_bucket{le=\"+Inf\"} 2\nvllm:prefix_cache_queries_total 0\n"
      "vllm:prefix_cache_hits_total 0\n");
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_THAT(r->skipped,
              ElementsAre(HasSubstr("observed.kv_usage: must be a number from 0 to 1")));
  EXPECT_EQ(r->intake.values().size(), 1U);  // the engine
}

TEST(HistogramQuantile, InterpolatesAsPromQl) {
  const CumulativeHistogram h{{{1, 10}, {2, 10}, {4, 30}, {INFINITY, 40}}, 0, 40};
  EXPECT_EQ(histogram_quantile(h, 0.125).value, 0.5);
  EXPECT_EQ(histogram_quantile(h, 0.25).value, 1);
  EXPECT_EQ(histogram_quantile(h, 0.5).value, 3);
  EXPECT_FALSE(histogram_quantile(h, 0.75).beyond);
  EXPECT_EQ(histogram_quantile(h, 0.75).value, 4);
  EXPECT_TRUE(histogram_quantile(h, 0.76).beyond);
  EXPECT_EQ(histogram_quantile(h, 0.99).value, 4);
}

// What no engine shows: it says nothing, rather than something wrong.
TEST(ReadMetrics, NegativeGaugesAndBucketsThatFallAreLeftOut) {
  const Intake intake = intake_of(
      "vllm:num_requests_running -1\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"0.1\"} 30\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"+Inf\"} 5\n"
      "vllm:time_to_first_token_seconds_count 5\nvllm:time_to_first_token_seconds_sum 1\n");
  EXPECT_EQ(intake.find("observed.running"), nullptr);
  EXPECT_EQ(intake.find("observed.ttft_ms_p50"), nullptr);
  EXPECT_EQ(intake.text("stack.engine"), "vllm");
}

}  // namespace
}  // namespace weir::ops
