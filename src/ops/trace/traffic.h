// What a trace says of traffic: lengths, gaps between arrivals, rates over time, what prompts
// share; with distributions fitted to them. Kept as evidence in a project
// (evidence/trace-NAME.json), which the planner draws from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ops/intake/fit.h"
#include "ops/trace/dataset.h"

namespace weir::ops {

struct TraceQuantity {
  size_t count = 0;
  double mean = 0;
  double sd = 0;  // n in the denominator
  // (share of the values at or below, value), both ascending, from (0, min) to (1, max): each
  // percent, 99.5 % and 99.9 %. Between two: linear. Empty without values.
  std::vector<std::pair<double, double>> quantiles;
  Fits fits;

  double at(double share) const;  // the value; 0 without values
};

struct TraceRates {
  double bin_s = 0;
  // Requests a second of each bin since the first arrival. The last bin ends with the trace; when
  // it would be shorter than a fifth of a bin, its requests are in the one before.
  std::vector<double> per_s;
};

struct TraceTraffic {
  std::string source;  // the file
  std::string format;  // Dataset::format
  size_t requests = 0;
  size_t skipped = 0;  // failed requests of the trace
  double span_s = 0;   // from the first arrival to the last
  double requests_per_s = 0;
  std::optional<double>
      peak_per_s;  // the busiest 60 s, wherever they begin; of spans of a minute on
  std::optional<double> arrival_cv;  // sd of the gaps over their mean; of three requests on
  // Share of prompt tokens in blocks that an earlier prompt began with too, as a cache that forgets
  // nothing would find them. Only of traces with hashes of blocks.
  std::optional<double> shared_prefix_share;
  TraceQuantity prompt_tokens;
  TraceQuantity output_tokens;
  TraceQuantity gap_s;
  TraceRates hourly;    // at most kMaxBins
  TraceRates minutely;  // empty beyond kMaxBins

  static constexpr size_t kMaxBins = 10'080;  // a week of minutes
};

// Precondition: a trace (Dataset::Kind::kTrace), which has rows.
TraceTraffic describe_trace(const Dataset& trace, std::string source);

// "19366 requests over 58.3 min".
std::string trace_extent(const TraceTraffic& traffic);
// "trace-NAME" from the file's name without its ending; what no file name should hold becomes '-'.
std::string trace_evidence_name(std::string_view source);

std::string traffic_json(const TraceTraffic& traffic);
// Reads it back. The text is taken for hostile; errors name the member by its path
// ("prompt_tokens.quantiles[3]"): kInvalidJson, kCorrupt, kUnsupported for another version.
Result<TraceTraffic> parse_traffic(std::string_view json);

// A page for people: empirical distributions against the fits, arrivals over time.
std::string traffic_html(const TraceTraffic& traffic);

}  // namespace weir::ops
