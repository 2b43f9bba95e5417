// A report for a terminal: the SLO's verdict first, then rates, the table of latencies with their
// intervals, errors, steady state; a sweep gets one line a run and its knee.
#pragma once

#include <string>

#include "bench/report/report.h"

namespace weir::bench {

struct TextOptions {
  bool colour = false;  // the verdict in green or red (ANSI); the caller knows if it is a terminal
};

// Control characters of settings and error messages are replaced, so what a server said cannot
// drive the terminal.
std::string report_text(const Report& report, const TextOptions& options = {});

}  // namespace weir::bench
