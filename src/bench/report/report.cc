#include "bench/report/report.h"

#include <algorithm>
#include <utility>

namespace weir::bench {

Report make_report(std::vector<LoadSummary> runs, const Slo& slo,
                   std::map<std::string, std::string> settings, std::string created) {
  Report report;
  const auto load = [](const LoadSummary& r) {
    return std::pair(r.offered_per_s, static_cast<double>(r.concurrency));
  };
  std::stable_sort(runs.begin(), runs.end(),
                   [&](const LoadSummary& a, const LoadSummary& b) { return load(a) < load(b); });
  report.created = std::move(created);
  report.settings = std::move(settings);
  report.slo = slo;
  report.runs = std::move(runs);
  report.sweep = find_sweep(report.runs, slo);
  return report;
}

}  // namespace weir::bench
