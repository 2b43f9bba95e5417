// What a ledger's requests came to, by any dimensions: `weir cost report`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/state/latency_sketch.h"
#include "gateway/state/ledger_reader.h"
#include "text/json.h"

namespace weir::gateway {

enum class CostDimension : uint8_t {
  kTenant,
  kKey,
  kModel,  // as the client named it
  kUpstream,
  kEndpoint,
  kUpstreamModel,
  kRelease,
  kDay,
  kHour,
  kOutcome,
  kCache
};
// "tenant,model". Error kUsage for an unknown one, with those that there are; for none, and for one
// that stands twice.
Result<std::vector<CostDimension>> parse_cost_dimensions(std::string_view comma_separated);
std::string_view cost_dimension_name(CostDimension dimension);  // "tenant"

// Sums of a group. Money and tokens are of all attempts (a retry is paid for too), the rest of
// requests, which are attempts that a client got.
struct CostGroup {
  std::vector<std::string> key;  // one value for each dimension; "" is what has none
  int64_t attempts = 0, requests = 0;
  int64_t ok = 0;                                  // of the requests
  int64_t hedged = 0, retried = 0, continued = 0;  // attempts
  int64_t cache_hits = 0;                          // requests answered from the response cache
  int64_t input_tokens = 0, cached_tokens = 0, output_tokens = 0;
  int64_t cost_nanos = 0;
  int64_t shadow_nanos = 0;            // of these, for copies that no client was answered by
  int64_t unpriced = 0;                // attempts at an upstream whose cost is not known
  int64_t estimated = 0;               // attempts whose tokens and cost are (LedgerRow)
  int64_t reported = 0, accepted = 0;  // requests of which users said something
  LatencySketch ttft_ms, total_ms;     // of requests that were ok

  double ok_share() const;
  double cached_share() const;  // of the input
  // Nanos for each accepted answer: all of the money, but for shadows', over what was accepted.
  // Where only a part of the requests was reported on, over requests x accepted / reported. Absent
  // where none was.
  std::optional<double> nanos_per_accepted() const;
};

struct LedgerReport {
  std::vector<CostDimension> by;
  std::string currency;
  int64_t first_ms = 0, last_ms = 0;  // of what was read
  CostGroup all;
  std::vector<CostGroup> groups;  // by time where it is a dimension, else the most expensive first
  int64_t merged = 0;             // groups beyond kMaxGroups, which are together in the last one
  // Money by day and value of the first dimension that is no time: (day number, value) -> nanos.
  std::map<std::pair<int64_t, std::string>, int64_t> daily;

  static constexpr size_t kMaxGroups = 10'000;
};

// Errors: those of the reader; kNotFound when no attempt lies in the time.
Result<LedgerReport> make_ledger_report(LedgerReader& ledger, const LedgerFilter& filter,
                                        std::vector<CostDimension> by);

std::string ledger_report_text(const LedgerReport& report);
text::Json ledger_report_json(const LedgerReport& report);
// One page with plots: money by day, money and latency by group.
std::string ledger_report_html(const LedgerReport& report);

}  // namespace weir::gateway
