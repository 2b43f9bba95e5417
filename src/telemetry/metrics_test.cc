#include "telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "telemetry/engine_metrics.h"
#include "telemetry/http_metrics.h"

namespace weir::telemetry {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Metrics, ExpositionHoldsValues) {
  Registry registry;
  registry.counter("weir_a_total", "help of a", {{"k", "v"}}).add(2);
  registry.gauge("weir_b", "b").set(-1.5);
  registry.histogram("weir_c", "c", {1, 2}).observe(1.5);
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("# HELP weir_a_total help of a\n# TYPE weir_a_total counter\n"
                              "weir_a_total{k=\"v\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("weir_b -1.5\n"));
  EXPECT_THAT(text, HasSubstr("weir_c_bucket{le=\"1\"} 0\nweir_c_bucket{le=\"2\"} 1\n"
                              "weir_c_bucket{le=\"+Inf\"} 1\n"));
}

TEST(Metrics, SameNameAndLabelsIsTheSameMetric) {
  Registry registry;
  registry.counter("weir_x_total", "x").add();
  const Counter again = registry.counter("weir_x_total", "x");
  again.add();
  again.add(-5);  // a counter never falls
  EXPECT_EQ(again.value(), 2);
}

TEST(Metrics, BadNamesAreRememberedAndHarmless) {
  Registry registry;
  registry.counter("9 bad name", "x").add();
  registry.gauge("weir_ok", "x", {{"bad-label", "v"}}).set(1);
  registry.counter("weir_twice", "x");
  registry.gauge("weir_twice", "x").set(1);  // another kind under the same name
  EXPECT_THAT(registry.failures(), testing::ElementsAre("9 bad name", "weir_ok", "weir_twice"));
}

TEST(Metrics, LabelValuesAreBounded) {
  Registry registry;
  const CounterFamily family = registry.counter_family("weir_f_total", "f", "status");
  for (int i = 0; i < 1000; ++i) family.with("v" + std::to_string(i)).add();
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("weir_f_total{status=\"v63\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("\"v64\"")));
  EXPECT_THAT(text, HasSubstr("weir_f_total{status=\"other\"} 936\n"));
}

TEST(Metrics, LabelValuesAreEscaped) {
  Registry registry;
  registry.gauge("weir_g", "g", {{"name", "a\"b\\c\nd"}}).set(1);
  EXPECT_THAT(registry.exposition(), HasSubstr(R"(weir_g{name="a\"b\\c\nd"} 1)"));
}

// Of every kind, and no more than that; what is made anew begins at nothing.
TEST(Metrics, SeriesCanBeTakenOut) {
  Registry registry;
  for (const char* of : {"a", "b"}) {
    registry.counter("weir_c_total", "c", {{"of", of}}).add(3);
    registry.gauge("weir_g", "g", {{"of", of}}).set(3);
    registry.histogram("weir_h", "h", {1, 2}, {{"of", of}}).observe(1);
    registry.counter_family("weir_f_total", "f", "end", {{"of", of}}).with("x").add();
  }
  registry.counter("weir_c_total", "c", {{"is", "a"}}).add();
  registry.remove("of", "a");
  const std::string text = registry.exposition();
  EXPECT_THAT(text, Not(HasSubstr(R"(of="a")")));
  for (const char* line :
       {R"(weir_c_total{of="b"} 3)", R"(weir_c_total{is="a"} 1)", R"(weir_g{of="b"} 3)",
        R"(weir_h_count{of="b"} 1)", R"(weir_f_total{end="x",of="b"} 1)"})
    EXPECT_THAT(text, HasSubstr(line));
  EXPECT_EQ(registry.counter("weir_c_total", "c", {{"of", "a"}}).value(), 0);
  EXPECT_THAT(registry.failures(), IsEmpty());
}

TEST(Metrics, EmptyHandlesDoNothing) {
  Counter().add();
  Gauge().set(1);
  Histogram().observe(1);
  CounterFamily().with("x").add();
}

TEST(Metrics, ManyThreads) {
  Registry registry;
  const Counter counter = registry.counter("weir_t_total", "t");
  const CounterFamily family = registry.counter_family("weir_tf_total", "t", "k");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        counter.add();
        family.with(i % 2 == 0 ? "even" : "odd").add();
      }
      EXPECT_FALSE(registry.exposition().empty());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 4000);
  EXPECT_EQ(family.with("odd").value(), 2000);
}

// As vLLM has them, which numbers its engines.
std::string labels(std::string_view name) {
  return name.starts_with("vllm:") ? R"(engine="0",model_name="m")" : R"(model_name="m")";
}

TEST(EngineMetrics, EveryNameIsAcceptedAndExposed) {
  Registry registry;
  EngineMetrics engine(registry, "m");
  HttpMetrics http(registry);
  engine.set_cache_config({16, 100, "f16", false});
  engine.request_success.with("stop").add();
  engine.time_to_first_token_s.observe(0.02);
  engine.requests_running.set(3);
  EXPECT_THAT(registry.failures(), IsEmpty());
  const std::string text = registry.exposition();
  for (const char* name :
       {"vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc",
        "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total",
        "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "weir_queue_depth_tokens",
        "weir_kv_headroom_bytes"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + name + "{" + labels(name) + "} ")) << name;
  }
  for (const char* name : {"vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds",
                           "vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds",
                           "weir_step_seconds"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + name + "_count{" + labels(name) + "} "))
        << name;
  }
  EXPECT_THAT(text, HasSubstr("vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=\"m\"} 1"));
  EXPECT_THAT(text, HasSubstr("block_size=\"16\""));
}

// A family of the same name for another constant label counts as well.
TEST(CounterFamily, EachSetOfLabelsCounts) {
  Registry registry;
  const auto a = registry.counter_family("things_total", "Things", "end", {{"of", "a"}});
  const auto b = registry.counter_family("things_total", "Things", "end", {{"of", "b"}});
  a.with("good").add();
  b.with("good").add(2);
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("things_total{end=\"good\",of=\"a\"} 1"));
  EXPECT_THAT(text, HasSubstr("things_total{end=\"good\",of=\"b\"} 2"));
}

}  // namespace
}  // namespace weir::telemetry
