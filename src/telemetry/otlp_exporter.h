// Sends spans, and the gen_ai metrics, to an OpenTelemetry collector on a thread of its own.
//
// Spans wait in a bounded queue; one that does not fit is dropped and counted, so a collector that
// is slow or gone costs memory up to the bound and no request any time. A batch that is refused for
// now (no connection, a timeout, 429, 502, 503, 504) is tried again with growing pauses, then
// dropped and counted; any other refusal drops it at once (OTLP/HTTP, "Failures").
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "telemetry/metrics.h"
#include "telemetry/otlp.h"

namespace weir::telemetry {

// Carries a body to the collector.
class OtlpTransport {
 public:
  virtual ~OtlpTransport() = default;
  struct Answer {
    int status = 0;            // of HTTP
    double retry_after_s = 0;  // > 0: the collector's wish
  };
  // POSTs JSON to `path` ("/v1/traces"). Blocks for a bounded time. On the exporter's thread.
  virtual Result<Answer> post(const std::string& path, const std::string& body) = 0;
};

struct OtlpOptions {
  ResourceAttributes resource;     // service.name and more
  size_t max_queued_spans = 2048;  // these four as OTEL_BSP_* have them by default
  size_t max_batch_spans = 512;
  int32_t batch_delay_ms = 5000;  // how long a span waits for company
  int32_t metrics_interval_ms = 60'000;
  int32_t max_attempts = 5;  // of one batch
  int32_t first_backoff_ms = 500;
  int32_t max_backoff_ms = 8000;
  int32_t drain_ms = 2000;  // what stop() still grants to what waits
};

// weir_otlp_*.
struct OtlpMetrics {
  explicit OtlpMetrics(Registry& registry);
  Counter exported;       // weir_otlp_spans_exported_total
  CounterFamily dropped;  // weir_otlp_spans_dropped_total{reason}: queue_full refused unreachable
  Counter failures;       // weir_otlp_failures_total: attempts that failed
  Gauge queued;           // weir_otlp_queued_spans
};

class OtlpExporter final : public SpanSink {
 public:
  // All are borrowed. Starts the thread. metrics: whose gen_ai histograms are sent.
  OtlpExporter(OtlpOptions options, OtlpTransport& transport, const Registry& metrics,
               const OtlpMetrics& own, const Clock& clock);
  ~OtlpExporter() override;  // stop()

  void add(Span span) override WEIR_EXCLUDES(mutex_);
  // Sends what waits, for drain_ms at most, and ends the thread.
  void stop() WEIR_EXCLUDES(mutex_);

 private:
  void loop();
  std::vector<Span> next_batch() WEIR_EXCLUDES(mutex_);
  void send_spans(const std::vector<Span>& batch);
  void send_metrics();
  enum class Outcome { kSent, kRefused, kUnreachable };
  Outcome send(const std::string& path, const std::string& body);
  // False: stop() was called meanwhile.
  bool pause(int64_t ms) WEIR_EXCLUDES(mutex_);
  bool out_of_time() WEIR_EXCLUDES(mutex_);

  const OtlpOptions options_;
  OtlpTransport& transport_;
  const Registry& registry_;
  const OtlpMetrics& own_;
  const Clock& clock_;
  const int64_t start_unix_ns_;
  int64_t metrics_due_ns_;  // of the exporter's thread
  Mutex mutex_;
  ConditionVariable wake_;
  std::deque<Span> queue_ WEIR_GUARDED_BY(mutex_);
  bool stopping_ WEIR_GUARDED_BY(mutex_) = false;
  int64_t stop_by_ns_ WEIR_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace weir::telemetry
