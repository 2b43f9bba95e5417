// How reports write numbers, names and durations, the same in text and HTML. Internal to bench/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/report/report.h"

namespace weir::bench {

// Three significant digits, without exponent up to 1e15: "0.123", "12.3", "1,234"; "–" when not
// known.
std::string number_text(double v);
// A time given in milliseconds, in the unit that reads best: "85.2 ms", "1.25 s", "310 us".
std::string ms_text(double ms);
std::string percent_text(double share);  // "97.3 %"
std::string count_text(int64_t n);       // "12,345"

// "79.1–91.0"; an unknown end is "?"; "" when there is none.
std::string interval_text(const Estimate& e);

// The rows of the latency table that a run has values for.
struct LatencyRow {
  const char* name;     // "TTFT"
  const char* meaning;  // one line
  const Distribution* values;
};
std::vector<LatencyRow> latency_rows(const LoadSummary& run);

// The verdict on the SLO in one sentence; "" without one.
std::string slo_verdict(const LoadSummary& run);
// "open loop, 4 requests/s", "closed loop, 16 at once".
std::string load_text(const LoadSummary& run);
// "rejected 503", "connection".
std::string error_name(const ErrorClass& e);
std::string report_title(const Report& report);

// For a terminal: control characters, C1 ones and those that reorder text become U+FFFD.
std::string printable(std::string_view utf8);
// For HTML text and attribute values: & < > " ' escaped, after printable().
std::string escaped(std::string_view utf8);

}  // namespace weir::bench
