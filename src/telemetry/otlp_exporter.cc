#include "telemetry/otlp_exporter.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "os/thread.h"

namespace weir::telemetry {
namespace {

bool is_retryable(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

std::chrono::milliseconds ms(int64_t n) { return std::chrono::milliseconds(n); }

}  // namespace

OtlpMetrics::OtlpMetrics(Registry& r)
    : exported(r.counter("weir_otlp_spans_exported_total", "Spans a collector took.")),
      dropped(r.counter_family("weir_otlp_spans_dropped_total", "Spans given up.", "reason")),
      failures(r.counter("weir_otlp_failures_total", "Attempts to reach a collector that failed.")),
      queued(r.gauge("weir_otlp_queued_spans", "Spans that wait for the exporter.")) {
  for (const char* reason : {"queue_full", "refused", "unreachable"}) dropped.with(reason);
}

OtlpExporter::OtlpExporter(OtlpOptions options, OtlpTransport& transport, const Registry& metrics,
                           const OtlpMetrics& own, const Clock& clock)
    : options_(std::move(options)),
      transport_(transport),
      registry_(metrics),
      own_(own),
      clock_(clock),
      start_unix_ns_(clock.unix_ns()),
      metrics_due_ns_(clock.now_ns() + int64_t{options_.metrics_interval_ms} * 1'000'000),
      thread_([this] { loop(); }) {}

OtlpExporter::~OtlpExporter() { stop(); }

void OtlpExporter::add(Span span) {
  MutexLock lock(mutex_);
  if (stopping_ || queue_.size() >= options_.max_queued_spans) {
    own_.dropped.with("queue_full").add();
    return;
  }
  queue_.push_back(std::move(span));
  own_.queued.set(static_cast<double>(queue_.size()));
  if (queue_.size() == options_.max_batch_spans) wake_.notify_one();
}

void OtlpExporter::stop() {
  {
    MutexLock lock(mutex_);
    if (!stopping_) stop_by_ns_ = clock_.now_ns() + int64_t{options_.drain_ms} * 1'000'000;
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool OtlpExporter::out_of_time() {
  MutexLock lock(mutex_);
  return stopping_ && clock_.now_ns() >= stop_by_ns_;
}

bool OtlpExporter::pause(int64_t wait_ms) {
  MutexLock lock(mutex_);
  if (!stopping_) wake_.wait_for(mutex_, ms(wait_ms));
  return !stopping_;
}

// Waits for a full batch or the delay, or for stop().
std::vector<Span> OtlpExporter::next_batch() {
  MutexLock lock(mutex_);
  if (!stopping_ && queue_.size() < options_.max_batch_spans)
    wake_.wait_for(mutex_, ms(options_.batch_delay_ms));
  const size_t n = std::min(queue_.size(), options_.max_batch_spans);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(n);
  std::vector<Span> batch(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  own_.queued.set(static_cast<double>(queue_.size()));
  return batch;
}

void OtlpExporter::loop() {
  os::set_thread_name("weir-otlp");
  while (true) {
    const std::vector<Span> batch = next_batch();
    if (!batch.empty()) send_spans(batch);
    bool stopping = false;
    {
      MutexLock lock(mutex_);
      stopping = stopping_ && queue_.empty();
    }
    if (stopping || clock_.now_ns() >= metrics_due_ns_) send_metrics();
    if (stopping) return;
  }
}

void OtlpExporter::send_spans(const std::vector<Span>& batch) {
  const auto n = static_cast<double>(batch.size());
  switch (send("/v1/traces", otlp_traces(options_.resource, batch))) {
    case Outcome::kSent:
      return own_.exported.add(n);
    case Outcome::kRefused:
      return own_.dropped.with("refused").add(n);
    case Outcome::kUnreachable:
      return own_.dropped.with("unreachable").add(n);
  }
}

void OtlpExporter::send_metrics() {
  metrics_due_ns_ = clock_.now_ns() + int64_t{options_.metrics_interval_ms} * 1'000'000;
  const std::vector<MetricPoint> points = gen_ai_points(registry_);
  if (!points.empty())
    send("/v1/metrics", otlp_metrics(options_.resource, points, start_unix_ns_, clock_.unix_ns()));
}

OtlpExporter::Outcome OtlpExporter::send(const std::string& path, const std::string& body) {
  int64_t backoff_ms = options_.first_backoff_ms;
  for (int32_t attempt = 1; !out_of_time(); ++attempt) {
    const auto answer = transport_.post(path, body);
    if (answer.ok() && answer->status >= 200 && answer->status < 300) return Outcome::kSent;
    own_.failures.add();
    if (answer.ok() && !is_retryable(answer->status)) return Outcome::kRefused;
    if (attempt >= options_.max_attempts) break;
    int64_t wait_ms = backoff_ms;
    if (answer.ok() && answer->retry_after_s > 0)
      wait_ms = std::clamp<int64_t>(static_cast<int64_t>(answer->retry_after_s * 1e3), backoff_ms,
                                    options_.max_backoff_ms);
    if (!pause(wait_ms)) attempt = std::max(attempt, options_.max_attempts - 1);  // one more
    backoff_ms = std::min<int64_t>(backoff_ms * 2, options_.max_backoff_ms);
  }
  return Outcome::kUnreachable;
}

}  // namespace weir::telemetry
