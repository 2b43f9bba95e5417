// Which metric of which engine answers which field: the table behind weir intake --metrics.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir::ops {

enum class MetricKind : uint8_t {
  kSum,        // a gauge, summed over its series: requests of all ranks
  kMean,       // a gauge, averaged over its series: a share
  kRate,       // a counter, a second; needs two scrapes
  kMaxRate,    // the same of the largest series: where a request counts in several of them
  kRatio,      // a counter over another one
  kQuantiles,  // a histogram of seconds: FIELD_p50, _p95 and _p99 in ms
  kLengths,    // a histogram of tokens: FIELD_p50, _p95, _p99 and _mean
  kAverageMs,  // the mean of a histogram of seconds, in ms
  kFlag,       // whether the label says true
};

struct MetricRow {
  std::string_view engine;  // a choice of stack.engine
  std::string_view field;   // of intake/fields.h, without its ending where the kind adds one
  MetricKind kind = MetricKind::kSum;
  std::string_view metric;  // as it stands in the text; histograms without _bucket
  std::string_view other =
      {};  // kRatio: the denominator; kFlag: the label; else a filter "label=value"
  std::string_view note = {};  // added to the evidence
};

// Of several rows for a field the first that has a value counts.
std::span<const MetricRow> metric_rows();

struct EnginePrefix {
  std::string_view engine;
  std::string_view prefix;  // of its metrics' names
};
// In the order in which they decide: weir shows vLLM's names too.
std::span<const EnginePrefix> engine_prefixes();
// Whose rows hold for an engine: weir's are vLLM's.
std::string_view rows_of(std::string_view engine);

}  // namespace weir::ops
