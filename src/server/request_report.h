// What is measured of one request, and where it goes when the request is over: metrics, a span, the
// notes of the access log, the server-timing header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "engine/request.h"
#include "http/response_writer.h"
#include "telemetry/engine_metrics.h"
#include "telemetry/gen_ai_metrics.h"
#include "telemetry/span.h"

namespace weir::server {

// Between two readings of Clock::now_ns().
double seconds(int64_t from_ns, int64_t to_ns);

// All borrowed.
struct Reporting {
  telemetry::EngineMetrics& metrics;
  const telemetry::GenAiMetrics& gen_ai;
  telemetry::SpanSink* spans = nullptr;  // null: nobody wants them
};

// Which span a request becomes: its own context, and its parent's if the client sent one.
struct RequestTraceContext {
  telemetry::TraceContext own;
  std::optional<telemetry::TraceContext> parent;
};

// Out of the traceparent header ("" or a bad one: a new trace) and two random numbers.
RequestTraceContext trace_context(std::string_view traceparent, uint64_t random_a,
                                  uint64_t random_b, uint64_t random_c);

// Of one thread at a time.
struct RequestReport {
  // From the request.
  std::string operation;  // gen_ai.operation.name: chat, text_completion, embeddings
  std::string model;
  std::optional<int64_t> max_tokens;
  int32_t choices = 1;
  int64_t received_ns = 0;  // Clock::now_ns()
  RequestTraceContext trace;
  std::string response_id;

  // Gathered on the way.
  int64_t first_token_ns = 0;  // given to the client's connection; 0: none yet
  int64_t last_token_ns = 0;
  int64_t write_ns = 0;  // spent making the bytes of the answer and handing them over
  engine::Usage usage;
  engine::Timings timings;  // the longest of its prompts'
  std::vector<std::string> finish_reasons;

  void add_prompt(const engine::Delivery& last);
  double write_ms() const { return static_cast<double>(write_ns) * 1e-6; }

  // To metrics, the span and the writer's notes. error: what ended it, if something did.
  void finish(const Reporting& to, const Clock& clock, const Error* error,
              http::ResponseWriter& writer) const;
  // What the access log says of it; part of finish(). code: of the error, or "".
  void note(std::string_view code, http::ResponseWriter& writer) const;

 private:
  void observe(const Reporting& to, double total_s) const;
  telemetry::Span span(int64_t now_ns, int64_t unix_ns, const std::string& error_code) const;
};

// "queue;dur=1.2, prefill;dur=3.4, decode;dur=5.6, detokenize;dur=0.1, write;dur=0.2"; known so
// far: without decode and what follows.
std::string server_timing(const engine::Timings& timings);
std::string server_timing(const engine::Timings& timings, double write_ms);

// The named bound that refused a request, "" if it was none; "other" for a 503 without one.
std::string rejecting_bound(const Error& error);
// Counts an error that became an answer or an error event.
void count_error(const Error& error, const telemetry::EngineMetrics& metrics);

}  // namespace weir::server
