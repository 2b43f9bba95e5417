// How reports write what they show, the same in text and HTML; numbers and escapes are plot/'s.
// Internal to bench/.
#pragma once

#include <string>
#include <vector>

#include "bench/report/report.h"
#include "plot/text.h"

namespace weir::bench {

using plot::count_text;
using plot::escaped;
using plot::ms_text;
using plot::number_text;
using plot::percent_text;
using plot::printable;

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

}  // namespace weir::bench
