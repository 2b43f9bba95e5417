// The routes that show what the server knows of itself, and what a request is measured with.
#include <algorithm>
#include <charconv>

#include "base/rng.h"
#include "os/memory.h"
#include "server/routes.h"
#include "telemetry/chrome_trace.h"

namespace weir::server {
namespace {

constexpr int64_t kDefaultTraceSeconds = 5;
constexpr int64_t kMaxTraceSeconds = 600;  // the rings hold less on a busy server

// Of "seconds=N"; other parameters are left alone.
Result<int64_t> trace_seconds(std::string_view query) {
  while (!query.empty()) {
    const std::string_view item = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), item.size() + 1));
    constexpr std::string_view kName = "seconds=";
    if (!item.starts_with(kName)) continue;
    int64_t value = 0;
    const char* end = item.data() + item.size();
    const auto [stop, ec] = std::from_chars(item.data() + kName.size(), end, value);
    if (ec == std::errc() && stop == end && value >= 1 && value <= kMaxTraceSeconds) return value;
    return param_error(ErrorCode::kInvalidValue, "seconds",
                       "seconds must be a whole number between 1 and {}", kMaxTraceSeconds);
  }
  return kDefaultTraceSeconds;
}

}  // namespace

RequestReport Routes::make_report(const char* operation, const http::Request& request) {
  RequestReport r;
  r.operation = operation;
  r.model = config_.model_name;
  r.received_ns = request.received_ns;
  const uint64_t n = next_trace_.fetch_add(1, std::memory_order_relaxed);
  r.trace = trace_context(request.headers.find("traceparent").value_or(""),
                          random_u64(config_.seed, 2, n), random_u64(config_.seed, 3, n),
                          random_u64(config_.seed, 4, n));
  return r;
}

void Routes::metrics_page(http::ResponseWriter writer) {
  const engine::EngineStats s = model_.engine.stats();
  metrics_.requests_waiting.set(s.queued_requests);
  metrics_.requests_running.set(s.running_sequences);
  metrics_.kv_cache_usage.set(
      s.total_pages == 0 ? 0.0 : 1.0 - static_cast<double>(s.free_pages) / s.total_pages);
  metrics_.queue_depth_tokens.set(static_cast<double>(s.queued_tokens));
  metrics_.preempted_sequences.set(s.waiting_sequences);
  metrics_.kv_pages.set(s.total_pages);
  metrics_.kv_free_pages.set(s.free_pages);
  metrics_.kv_headroom_bytes.set(static_cast<double>(s.free_pages) *
                                 static_cast<double>(model_.kv_bytes_per_page));
  instruments_.process.resident_bytes.set(static_cast<double>(os::resident_bytes()));
  http::Response r;
  r.headers.set("Content-Type", telemetry::Registry::kExpositionType);
  r.body = instruments_.registry.exposition();
  writer.send(std::move(r));
}

void Routes::trace_page(const http::Request& request, http::ResponseWriter writer) {
  const auto seconds = trace_seconds(request.query);
  if (!seconds.ok()) return refuse(seconds.error(), writer);
  // Building it may take a while and belongs to no I/O thread. shared: std::function wants its
  // contents copyable; there is one owner.
  auto shared = std::make_shared<http::ResponseWriter>(std::move(writer));
  run(
      [this, seconds = *seconds, shared] {
        const int64_t now_ns = clock_.now_ns();
        const int64_t from_ns = now_ns - seconds * 1'000'000'000;
        shared->send(http::json_response(
            200, telemetry::chrome_trace(instruments_.trace.since(from_ns), from_ns, now_ns)));
      },
      *shared);
}

}  // namespace weir::server
