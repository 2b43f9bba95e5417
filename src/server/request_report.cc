#include "server/request_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "api/error_table.h"

namespace weir::server {
double seconds(int64_t from_ns, int64_t to_ns) {
  return static_cast<double>(to_ns - from_ns) * 1e-9;
}

RequestTraceContext trace_context(std::string_view traceparent, uint64_t random_a,
                                  uint64_t random_b, uint64_t random_c) {
  RequestTraceContext t;
  t.parent = telemetry::parse_traceparent(traceparent);
  if (t.parent.has_value()) {
    t.own.trace_id = t.parent->trace_id;
    t.own.sampled = t.parent->sampled;
  } else {
    random_a |= 1;  // never all zero
    std::memcpy(t.own.trace_id.data(), &random_a, sizeof random_a);
    std::memcpy(t.own.trace_id.data() + sizeof random_a, &random_b, sizeof random_b);
  }
  random_c |= 1;
  std::memcpy(t.own.span_id.data(), &random_c, sizeof random_c);
  return t;
}

void RequestReport::add_prompt(const engine::Delivery& d) {
  usage.prompt_tokens += d.usage.prompt_tokens;
  usage.completion_tokens += d.usage.completion_tokens;
  usage.cached_tokens += d.usage.cached_tokens;
  usage.accepted_prediction_tokens += d.usage.accepted_prediction_tokens;
  usage.rejected_prediction_tokens += d.usage.rejected_prediction_tokens;
  timings.queue_ms = std::max(timings.queue_ms, d.timings.queue_ms);
  timings.prefill_ms = std::max(timings.prefill_ms, d.timings.prefill_ms);
  timings.decode_ms = std::max(timings.decode_ms, d.timings.decode_ms);
  timings.detokenize_ms = std::max(timings.detokenize_ms, d.timings.detokenize_ms);
}

// The metrics of an answer that was complete.
void RequestReport::observe(const Reporting& to, double total_s) const {
  const telemetry::EngineMetrics& m = to.metrics;
  const std::array<double, telemetry::kRequestPhases> phases_s = {
      timings.queue_ms * 1e-3, timings.prefill_ms * 1e-3, timings.decode_ms * 1e-3,
      timings.detokenize_ms * 1e-3, write_ms() * 1e-3};
  for (size_t i = 0; i < phases_s.size(); ++i) m.request_phase_s[i].observe(phases_s[i]);
  m.queue_time_s.observe(phases_s[0]);
  m.prefill_time_s.observe(phases_s[1]);
  m.decode_time_s.observe(phases_s[2]);
  m.inference_time_s.observe(phases_s[1] + phases_s[2]);
  m.e2e_latency_s.observe(total_s);
  m.prompt_tokens.add(usage.prompt_tokens);
  m.request_prompt_tokens.observe(usage.prompt_tokens);
  if (operation == "embeddings") return;
  m.request_generation_tokens.observe(usage.completion_tokens);
  m.request_n.observe(choices);
  if (max_tokens.has_value()) m.request_max_tokens.observe(static_cast<double>(*max_tokens));
  if (first_token_ns == 0) return;
  to.gen_ai.time_to_first_token(operation, seconds(received_ns, first_token_ns));
  const int32_t each = usage.completion_tokens / std::max(1, choices);
  if (each < 2) return;
  const double per_token_s = seconds(first_token_ns, last_token_ns) / (each - 1);
  m.time_per_output_token_s.observe(per_token_s);
  to.gen_ai.time_per_output_token(operation, per_token_s);
}

telemetry::Span RequestReport::span(int64_t now_ns, int64_t unix_ns,
                                    const std::string& error_code) const {
  telemetry::Span s;
  s.context = trace.own;
  if (trace.parent.has_value()) s.parent_span_id = trace.parent->span_id;
  s.name = operation + " " + model;
  s.start_unix_ns = unix_ns - (now_ns - received_ns);
  s.end_unix_ns = unix_ns;
  s.attributes = {{"gen_ai.operation.name", operation},
                  {"gen_ai.provider.name", std::string(telemetry::kGenAiProvider)},
                  {"gen_ai.request.model", model},
                  {"gen_ai.response.model", model},
                  {"gen_ai.response.id", response_id},
                  {"gen_ai.usage.input_tokens", int64_t{usage.prompt_tokens}},
                  {"weir.queue_ms", timings.queue_ms},
                  {"weir.prefill_ms", timings.prefill_ms},
                  {"weir.decode_ms", timings.decode_ms}};
  if (max_tokens.has_value()) s.attributes.emplace_back("gen_ai.request.max_tokens", *max_tokens);
  if (operation != "embeddings") {
    s.attributes.emplace_back("gen_ai.usage.output_tokens", int64_t{usage.completion_tokens});
    s.attributes.emplace_back("gen_ai.response.finish_reasons", finish_reasons);
    s.attributes.emplace_back("gen_ai.request.choice.count", int64_t{choices});
  }
  if (first_token_ns != 0)
    s.attributes.emplace_back("gen_ai.response.time_to_first_chunk",
                              seconds(received_ns, first_token_ns));
  if (!error_code.empty()) s.attributes.emplace_back("error.type", error_code);
  s.error = error_code;
  return s;
}

void RequestReport::finish(const Reporting& to, const Clock& clock, const Error* error,
                           http::ResponseWriter& writer) const {
  const int64_t now_ns = clock.now_ns();
  const double total_s = seconds(received_ns, now_ns);
  std::string code;
  if (error == nullptr) {
    observe(to, total_s);
  } else {
    code = error->code == ErrorCode::kCancelled ? "cancelled"
                                                : api::error_row(error->code).openai_code;
  }
  to.gen_ai.request_duration(operation, code, total_s);
  if (to.spans != nullptr && trace.own.sampled) to.spans->add(span(now_ns, clock.unix_ns(), code));
  note(code, writer);
}

void RequestReport::note(std::string_view code, http::ResponseWriter& writer) const {
  writer.note([&](http::AnswerNotes& n) {
    n.error_code = code;
    n.prompt_tokens = usage.prompt_tokens;
    n.cached_tokens = usage.cached_tokens;
    n.completion_tokens = usage.completion_tokens;
  });
}

std::string server_timing(const engine::Timings& t) {
  return fmt::format("queue;dur={:.1f}, prefill;dur={:.1f}", t.queue_ms, t.prefill_ms);
}

std::string server_timing(const engine::Timings& t, double write_ms) {
  return fmt::format("{}, decode;dur={:.1f}, detokenize;dur={:.2f}, write;dur={:.2f}",
                     server_timing(t), t.decode_ms, t.detokenize_ms, write_ms);
}

std::string rejecting_bound(const Error& e) {
  if (!e.bound.empty()) return e.bound;
  switch (e.code) {
    case ErrorCode::kServerOverloaded:
      return "other";
    case ErrorCode::kContextLengthExceeded:
      return "context";
    case ErrorCode::kMaxInputTokensExceeded:
      return "max_input_tokens";
    case ErrorCode::kMaxOutputTokensExceeded:
      return "max_output_tokens";
    case ErrorCode::kRateLimitExceeded:
      return "rate_limit";
    default:
      return "";
  }
}

void count_error(const Error& error, const telemetry::EngineMetrics& metrics) {
  metrics.errors.with(api::error_row(error.code).openai_code).add();
  if (const std::string bound = rejecting_bound(error); !bound.empty())
    metrics.rejections.with(bound).add();
}

}  // namespace weir::server
