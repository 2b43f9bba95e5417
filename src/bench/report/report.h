// What one `weir bench load` has to say: one run, or the runs of a sweep. Text, JSON and HTML are
// all written from it, and the JSON reads back into it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/report/summary.h"
#include "bench/report/sweep.h"

namespace weir::bench {

struct Report {
  std::string title;                            // "" : made from the settings
  std::string created;                          // the caller's clock, e.g. "2026-11-25T12:00:00Z"
  std::map<std::string, std::string> settings;  // of the whole: target, model, data set, ...
  Slo slo;
  std::vector<LoadSummary> runs;  // a sweep: in order of load
  Sweep sweep;                    // of the runs; empty for one
};

// Sorts the runs by load when there are several and works out the sweep. `slo` is the one that the
// summaries were made with.
Report make_report(std::vector<LoadSummary> runs, const Slo& slo,
                   std::map<std::string, std::string> settings, std::string created);

}  // namespace weir::bench
