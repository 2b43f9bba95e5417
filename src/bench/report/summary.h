// A load run in numbers: what summarize() makes of the records, and what every report (text, JSON,
// HTML, compare) is written from. Pure; deterministic for the same run, SLO and options.
//
// Quantiles are exact and interpolated as numpy's default does (type 7 of Hyndman and Fan 1996), so
// that they agree with vLLM's and guidellm's. Latencies of requests that ended well (kOk) only;
// refusals have their own distribution, errors are counted.
//
// Intervals are 95 % bootstrap percentile intervals (Efron and Tibshirani 1993), expanded for few
// blocks (bootstrap.h). What is resampled
// are requests, with all their gaps, because gaps of one request are alike; in circular blocks of
// ceil(n^(1/3)) consecutive requests (Politis and Romano 1992), because requests that overlap in
// time share batches and queues. Rates are resampled the same way over the bins of the timeline.
// An upper bound of a quantile is known only when at least 4 requests lie above it: with fewer the
// sample cannot exclude, at 95 %, that the quantile is beyond its maximum (q^n <= 0.025 needs
// n (1 - q) >= 3.7).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "bench/load/measurement.h"
#include "bench/report/histogram.h"
#include "bench/report/slo.h"

namespace weir::bench {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// A value with its 95 % interval. NaN: not known (no data, or too few for a bound).
struct Estimate {
  double value = kUnknown;
  double low = kUnknown;
  double high = kUnknown;
  // Standard deviation of the logarithm of the bootstrap replicates; what compare() works with.
  double log_se = kUnknown;

  bool known() const { return value == value; }
};

inline constexpr std::array<double, 5> kQuantiles = {0.5, 0.9, 0.95, 0.99, 0.999};
inline constexpr std::array<const char*, 5> kQuantileNames = {"p50", "p90", "p95", "p99", "p999"};

struct Distribution {
  int64_t count = 0;
  double min = kUnknown;
  double max = kUnknown;
  double stddev = kUnknown;  // population
  Estimate mean;
  std::array<Estimate, kQuantiles.size()> quantiles;  // of kQuantiles
  Histogram histogram{2};                             // for curves; 2 digits

  const Estimate& p50() const { return quantiles[0]; }
  const Estimate& p90() const { return quantiles[1]; }
  const Estimate& p95() const { return quantiles[2]; }
  const Estimate& p99() const { return quantiles[3]; }
  const Estimate& p999() const { return quantiles[4]; }
};

// Equal bins over the run. One entry a bin in each series.
struct Timeline {
  double bin_s = 0;
  std::vector<double> in_flight;            // mean number of requests between send and end
  std::vector<double> output_tokens_per_s;  // when they arrived
  std::vector<double> arrivals_per_s;       // intended sends
  std::vector<double> ttft_ms;              // mean of the requests intended in the bin; NaN: none
  std::vector<double> errors_per_s;         // failed (not refused) ends
  std::vector<double> refusals_per_s;
};

// The part of the run between warm-up and drain.
struct SteadyState {
  bool found = false;
  double begin_s = 0;
  double end_s = 0;
  std::string how;  // what was cut and why, one sentence for people
  // Of the requests intended within it.
  int64_t requests = 0;
  Estimate output_tokens_per_s;
  Estimate ttft_p50_ms, ttft_p95_ms, itl_p50_ms, itl_p95_ms;
};

struct Goodput {
  Estimate share;           // of all requests; Wilson interval
  Estimate requests_per_s;  // that met the SLO
  Estimate output_tokens_per_s;
  bool met = false;  // share.value >= slo.share
  // Of all requests: how many broke which bound (one may break several).
  int64_t broke_ttft = 0, broke_itl = 0, broke_tpot = 0, broke_e2e = 0, not_ok = 0;
};

// Requests of one outcome that say the same.
struct ErrorClass {
  Outcome outcome = Outcome::kOk;
  int32_t status = 0;
  std::string message;  // of the first; at most 200 bytes
  int64_t count = 0;
  double first_s = 0;  // when the first ended
};

// One group (shared prefix, or tenant when the runner puts tenants there).
struct GroupSummary {
  int32_t group = -1;
  int64_t requests = 0;
  int64_t ok = 0;
  int64_t refused = 0;
  Distribution ttft_ms;
  double output_tokens_per_s = 0;
  double slo_share = 0;
};

// A request of the waterfall.
struct SampleRequest {
  double intended_s = 0, sent_s = 0, first_token_s = -1, end_s = -1;
  double queue_ms = -1;
  int32_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0;
  Outcome outcome = Outcome::kOk;
};

struct LoadSummary {
  std::string label;
  std::map<std::string, std::string> settings;
  double offered_per_s = 0;  // open loop; 0: closed
  int32_t concurrency = 0;   // closed loop; 0: open
  double duration_s = 0;
  Slo slo;

  int64_t requests = 0;
  int64_t ok = 0;
  int64_t refused = 0;                                              // kRejected
  int64_t failed = 0;                                               // the rest
  int64_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0;  // of those that ended well
  double cached_share = kUnknown;                                   // cached / prompt tokens

  Estimate requests_per_s;       // ended well
  Estimate output_tokens_per_s;  // of those
  Estimate prompt_tokens_per_s;
  Estimate total_tokens_per_s;
  double peak_output_tokens_per_s = 0;  // best second
  int32_t peak_in_flight = 0;
  double mean_in_flight = 0;

  Distribution ttft_ms, itl_ms, tpot_ms, e2e_ms;
  Distribution queue_ms;  // as the server told; count 0 when it did not
  Distribution
      send_delay_ms;        // sent - intended: the load generator's own lag, or a full closed loop
  Distribution refusal_ms;  // send to refusal
  Distribution retry_after_s;  // that refusals gave

  Goodput goodput;                   // meaningful when slo.any()
  std::vector<ErrorClass> errors;    // refusals too; most frequent first; at most kMaxErrorClasses
  int64_t errors_not_listed = 0;     // requests of further classes
  std::vector<GroupSummary> groups;  // by group; at most kMaxGroups of those with most requests
  Timeline timeline;
  SteadyState steady;
  std::vector<SampleRequest> samples;  // consecutive, from the middle of the run

  static constexpr size_t kMaxErrorClasses = 32;
  static constexpr size_t kMaxGroups = 64;
  static constexpr size_t kMaxSamples = 48;
  static constexpr size_t kMaxErrorBytes = 200;
};

struct SummaryOptions {
  uint64_t seed = 1;
  int32_t replicates = 400;  // of the bootstrap; 0: no intervals
  int32_t block = 0;         // requests a block; 0: ceil(n^(1/3))
  // Count only the requests intended within the steady state (where one is found).
  bool steady_only = false;
};

// Work is bounded: replicates times the number of values, and at most 2^18 values of a
// distribution take part in its intervals (every k-th of the sorted ones beyond that).
LoadSummary summarize(const LoadRun& run, const Slo& slo, const SummaryOptions& options = {});

// "ok", "rejected", "client_error", "server_error", "timeout", "connection", "bad_response".
const char* outcome_name(Outcome outcome);
// nullptr-free reverse: false when there is no such name.
bool outcome_from_name(std::string_view name, Outcome& out);

}  // namespace weir::bench
