// OTLP/HTTP with JSON bodies (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"): the
// bodies of POST /v1/traces and /v1/metrics. Pure.
//
// What differs from plain protobuf JSON: ids are hexadecimal, 64-bit integers are strings, enums
// are numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "telemetry/metrics.h"
#include "telemetry/span.h"

namespace weir::telemetry {

using ResourceAttributes = std::vector<std::pair<std::string, std::string>>;

std::string otlp_traces(const ResourceAttributes& resource, std::span<const Span> spans);

// A histogram under the convention's name: gen_ai.server.*, unit s, cumulative.
struct MetricPoint {
  std::string name;  // as OTLP has it
  std::string description;
  std::vector<std::pair<std::string, std::string>> attributes;
  uint64_t count = 0;
  double sum = 0;
  std::vector<double> bounds;     // upper bounds, without the last, infinite one
  std::vector<uint64_t> buckets;  // one more than bounds; not cumulative over buckets
};

std::string otlp_metrics(const ResourceAttributes& resource, std::span<const MetricPoint> points,
                         int64_t start_unix_ns, int64_t now_unix_ns);

// The registry's gen_ai_* histograms under the names and attributes that their Prometheus form was
// made from.
std::vector<MetricPoint> gen_ai_points(const Registry& registry);

}  // namespace weir::telemetry
