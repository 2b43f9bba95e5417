// The exporter against collectors that work, refuse, stall and come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/thread_annotations.h"
#include "telemetry/gen_ai_metrics.h"
#include "telemetry/otlp_exporter.h"

namespace weir::telemetry {
namespace {

using testing::HasSubstr;

class FakeCollector final : public OtlpTransport {
 public:
  Result<Answer> post(const std::string& path, const std::string& body) override {
    while (stalled) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    MutexLock lock(mutex_);
    ++attempts;
    if (failures > 0) {
      --failures;
      if (status == 0) return make_error(ErrorCode::kIo, "connection refused");
      return Answer{status, 0};
    }
    bodies_.emplace_back(path, body);
    return Answer{200, 0};
  }
  std::vector<std::pair<std::string, std::string>> bodies() {
    MutexLock lock(mutex_);
    return bodies_;
  }
  std::atomic<bool> stalled{false};
  std::atomic<int> attempts{0};
  std::atomic<int> failures{0};
  std::atomic<int> status{503};

 private:
  Mutex mutex_;
  std::vector<std::pair<std::string, std::string>> bodies_ WEIR_GUARDED_BY(mutex_);
};

Span span(int i) {
  Span s;
  s.context.trace_id[15] = 1;
  s.context.span_id[7] = static_cast<uint8_t>(i + 1);
  s.name = "chat m";
  s.start_unix_ns = 1'700'000'000'000'000'001;
  s.end_unix_ns = 1'700'000'000'500'000'001;
  s.attributes = {{"gen_ai.usage.input_tokens", int64_t{7}},
                  {"gen_ai.response.finish_reasons", std::vector<std::string>{"stop"}},
                  {"gen_ai.operation.name", std::string("chat")}};
  return s;
}

class OtlpTest : public testing::Test {
 protected:
  OtlpTest() {
    options_.batch_delay_ms = 5;
    options_.first_backoff_ms = 1;
    options_.max_backoff_ms = 4;
    options_.max_queued_spans = 8;
    options_.max_batch_spans = 4;
    options_.resource = {{"service.name", "weir"}};
  }
  void start() {
    exporter_ = std::make_unique<OtlpExporter>(options_, collector_, registry_, metrics_, clock_);
  }
  SystemClock clock_;
  Registry registry_;
  OtlpMetrics metrics_{registry_};
  FakeCollector collector_;
  OtlpOptions options_;
  std::unique_ptr<OtlpExporter> exporter_;
};

TEST_F(OtlpTest, WhatIsAddedArrives) {
  start();
  for (int i = 0; i < 6; ++i) exporter_->add(span(i));
  exporter_->stop();
  std::string all;
  for (const auto& [path, body] : collector_.bodies()) {
    EXPECT_EQ(path, "/v1/traces");
    all += body;
  }
  for (int i = 1; i <= 6; ++i)
    EXPECT_THAT(all, HasSubstr("\"spanId\":\"000000000000000" + std::to_string(i) + "\""));
  EXPECT_EQ(metrics_.exported.value(), 6);
}

TEST_F(OtlpTest, ACollectorThatFailsForAWhileLosesNothing) {
  for (const int status : {0, 429, 503}) {
    collector_.status = status;
    collector_.failures = 3;
    start();
    exporter_->add(span(0));
    while (collector_.failures > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    exporter_->stop();
    EXPECT_EQ(metrics_.dropped.with("unreachable").value(), 0);
  }
  EXPECT_EQ(metrics_.exported.value(), 3);
  EXPECT_EQ(metrics_.failures.value(), 9);
}

TEST_F(OtlpTest, ARefusalIsFinal) {
  collector_.status = 400;
  collector_.failures = 1;
  start();
  exporter_->add(span(0));
  exporter_->stop();
  EXPECT_EQ(metrics_.dropped.with("refused").value(), 1);
  EXPECT_EQ(metrics_.exported.value(), 0);
}

TEST_F(OtlpTest, ACollectorThatIsGoneIsGivenUp) {
  collector_.status = 0;
  collector_.failures = 1'000'000;
  start();
  exporter_->add(span(0));
  while (metrics_.dropped.with("unreachable").value() < 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(collector_.attempts, options_.max_attempts);
  exporter_->stop();
}

TEST_F(OtlpTest, AStalledCollectorCostsTheQueueAndNoMore) {
  collector_.stalled = true;
  start();
  exporter_->add(span(0));
  for (int i = 0; i < 100; ++i) exporter_->add(span(i));  // returns at once each time
  // 8 wait, at most a batch of 4 is under way.
  EXPECT_GE(metrics_.dropped.with("queue_full").value(), 101 - 8 - 4);
  collector_.stalled = false;
  exporter_->stop();
  EXPECT_EQ(metrics_.exported.value() + metrics_.dropped.with("queue_full").value(), 101);
}

TEST_F(OtlpTest, MetricsGoUnderTheConventionsNames) {
  const GenAiMetrics gen_ai(registry_, "m");
  gen_ai.request_duration("chat", "", 0.5);
  gen_ai.request_duration("chat", "server_overloaded", 0.005);
  gen_ai.time_to_first_token("chat", 0.05);
  start();
  exporter_->stop();
  ASSERT_EQ(collector_.bodies().size(), 1U);
  const auto [path, body] = collector_.bodies()[0];
  EXPECT_EQ(path, "/v1/metrics");
  EXPECT_THAT(body, HasSubstr("\"name\":\"gen_ai.server.request.duration\""));
  EXPECT_THAT(body, HasSubstr("{\"key\":\"error.type\",\"value\":{\"stringValue\":"
                              "\"server_overloaded\"}}"));
  EXPECT_THAT(body, HasSubstr("\"aggregationTemporality\":2"));
  // 0.5 s lies between 0.32 and 0.64: the seventh of fifteen.
  EXPECT_THAT(body, HasSubstr("\"count\":\"1\",\"sum\":0.5,\"bucketCounts\":[\"0\",\"0\",\"0\","
                              "\"0\",\"0\",\"0\",\"1\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\","
                              "\"0\",\"0\"]"));
}

TEST(Otlp, ASpanHasTheShapeOfTheProtocol) {
  Span s = span(0);
  s.parent_span_id = std::array<uint8_t, 8>{0, 0, 0, 0, 0, 0, 0, 9};
  s.error = "internal_error";
  EXPECT_EQ(
      otlp_traces({{"service.name", "weir"}}, {&s, 1}),
      R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":)"
      R"("weir"}}]},"scopeSpans":[{"scope":{"name":"weir"},"spans":[{"traceId":)"
      R"("00000000000000000000000000000001","spanId":"0000000000000001","parentSpanId":)"
      R"("0000000000000009","name":"chat m","kind":2,"startTimeUnixNano":"1700000000000000001",)"
      R"("endTimeUnixNano":"1700000000500000001","attributes":[{"key":"gen_ai.usage.input_tokens",)"
      R"("value":{"intValue":"7"}},{"key":"gen_ai.response.finish_reasons","value":{"arrayValue":)"
      R"({"values":[{"stringValue":"stop"}]}}},{"key":"gen_ai.operation.name","value":)"
      R"({"stringValue":"chat"}}],"status":{"code":2,"message":"internal_error"}}]}]}]})");
}

}  // namespace
}  // namespace weir::telemetry
