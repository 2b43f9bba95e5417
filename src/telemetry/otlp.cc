#include "telemetry/otlp.h"

#include "telemetry/json_writer.h"

namespace weir::telemetry {
namespace {

constexpr int kSpanKindServer = 2;         // Span.SpanKind
constexpr int kStatusError = 2;            // Status.StatusCode
constexpr int kTemporalityCumulative = 2;  // AggregationTemporality

void write_value(JsonWriter& w, const Span::Value& value) {
  w.begin_object();
  if (const auto* text = std::get_if<std::string>(&value)) {
    w.key("stringValue").value(*text);
  } else if (const auto* number = std::get_if<int64_t>(&value)) {
    w.key("intValue").value(std::to_string(*number));
  } else if (const auto* real = std::get_if<double>(&value)) {
    w.key("doubleValue").value(*real);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    w.key("boolValue").value(*flag);
  } else if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    w.key("arrayValue").begin_object().key("values").begin_array();
    for (const std::string& s : *list) w.begin_object().key("stringValue").value(s).end_object();
    w.end_array().end_object();
  }
  w.end_object();
}

void write_attribute(JsonWriter& w, std::string_view key, const Span::Value& value) {
  w.begin_object().key("key").value(key).key("value");
  write_value(w, value);
  w.end_object();
}

void begin_resource(JsonWriter& w, const ResourceAttributes& resource) {
  w.key("resource").begin_object().key("attributes").begin_array();
  for (const auto& [key, value] : resource) write_attribute(w, key, value);
  w.end_array().end_object();
}

void write_scope(JsonWriter& w) {
  w.key("scope").begin_object().key("name").value("weir").end_object();
}

void write_span(JsonWriter& w, const Span& s) {
  w.begin_object();
  w.key("traceId").value(hex(s.context.trace_id.data(), s.context.trace_id.size()));
  w.key("spanId").value(hex(s.context.span_id.data(), s.context.span_id.size()));
  if (s.parent_span_id.has_value())
    w.key("parentSpanId").value(hex(s.parent_span_id->data(), s.parent_span_id->size()));
  w.key("name").value(s.name).key("kind").value(kSpanKindServer);
  w.key("startTimeUnixNano").value(std::to_string(s.start_unix_ns));
  w.key("endTimeUnixNano").value(std::to_string(s.end_unix_ns));
  w.key("attributes").begin_array();
  for (const auto& [key, value] : s.attributes) write_attribute(w, key, value);
  w.end_array();
  w.key("status").begin_object();
  if (!s.error.empty()) w.key("code").value(kStatusError).key("message").value(s.error);
  w.end_object();
  w.end_object();
}

void write_point(JsonWriter& w, const MetricPoint& p, int64_t start_ns, int64_t now_ns) {
  w.begin_object().key("attributes").begin_array();
  for (const auto& [key, value] : p.attributes) write_attribute(w, key, value);
  w.end_array();
  w.key("startTimeUnixNano").value(std::to_string(start_ns));
  w.key("timeUnixNano").value(std::to_string(now_ns));
  w.key("count").value(std::to_string(p.count)).key("sum").value(p.sum);
  w.key("bucketCounts").begin_array();
  for (const uint64_t n : p.buckets) w.value(std::to_string(n));
  w.end_array().key("explicitBounds").begin_array();
  for (const double bound : p.bounds) w.value(bound);
  w.end_array().end_object();
}

}  // namespace

std::string otlp_traces(const ResourceAttributes& resource, std::span<const Span> spans) {
  JsonWriter w;
  w.begin_object().key("resourceSpans").begin_array().begin_object();
  begin_resource(w, resource);
  w.key("scopeSpans").begin_array().begin_object();
  write_scope(w);
  w.key("spans").begin_array();
  for (const Span& s : spans) write_span(w, s);
  w.end_array().end_object().end_array().end_object().end_array().end_object();
  return w.take();
}

std::string otlp_metrics(const ResourceAttributes& resource, std::span<const MetricPoint> points,
                         int64_t start_unix_ns, int64_t now_unix_ns) {
  JsonWriter w;
  w.begin_object().key("resourceMetrics").begin_array().begin_object();
  begin_resource(w, resource);
  w.key("scopeMetrics").begin_array().begin_object();
  write_scope(w);
  w.key("metrics").begin_array();
  for (size_t i = 0; i < points.size();) {
    const std::string& name = points[i].name;
    w.begin_object().key("name").value(name).key("description").value(points[i].description);
    w.key("unit").value("s").key("histogram").begin_object();
    w.key("aggregationTemporality").value(kTemporalityCumulative).key("dataPoints").begin_array();
    for (; i < points.size() && points[i].name == name; ++i)
      write_point(w, points[i], start_unix_ns, now_unix_ns);
    w.end_array().end_object().end_object();
  }
  w.end_array().end_object().end_array().end_object().end_array().end_object();
  return w.take();
}

std::vector<MetricPoint> gen_ai_points(const Registry& registry) {
  struct Name {
    const char* prometheus;
    const char* otel;
  };
  static constexpr Name kMetrics[] = {
      {"gen_ai_server_request_duration_seconds", "gen_ai.server.request.duration"},
      {"gen_ai_server_time_to_first_token_seconds", "gen_ai.server.time_to_first_token"},
      {"gen_ai_server_time_per_output_token_seconds", "gen_ai.server.time_per_output_token"}};
  static constexpr Name kAttributes[] = {{"gen_ai_operation_name", "gen_ai.operation.name"},
                                         {"gen_ai_provider_name", "gen_ai.provider.name"},
                                         {"gen_ai_request_model", "gen_ai.request.model"},
                                         {"gen_ai_response_model", "gen_ai.response.model"},
                                         {"error_type", "error.type"}};
  std::vector<MetricPoint> points;
  for (const Name& metric : kMetrics) {
    for (const HistogramSnapshot& h : registry.histograms(metric.prometheus)) {
      MetricPoint p;
      p.name = metric.otel;
      p.description = h.help;
      for (const Name& a : kAttributes) {
        if (const auto found = h.labels.find(a.prometheus); found != h.labels.end())
          p.attributes.emplace_back(a.otel, found->second);
      }
      p.count = h.count;
      p.sum = h.sum;
      p.bounds = h.bounds;
      p.buckets = h.buckets;
      points.push_back(std::move(p));
    }
  }
  return points;
}

}  // namespace weir::telemetry
