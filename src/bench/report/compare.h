// What changed between two reports beyond noise.
//
// Runs are matched by label. For each metric the ratio B/A with a 95 % interval, on the logarithm:
//   one run on each side: the bootstrap's log_se of both, added in quadrature (normal quantile);
//     noise between runs (another day, another neighbour) is not in it, and the note says so;
//   two or more of a label on both sides: Welch's t over the runs' values (Welch 1947), which has
//     that noise in it.
// A metric is better or worse when its p-value passes Holm's step-down at 5 % over all metrics of
// the comparison (Holm 1979), so that a comparison of two equal runs cries wolf in at most one of
// twenty cases, and the ratio is at least `min_effect` away from 1. The others are no difference
// where the interval lies within `wide` of 1 on both sides, else undecided.
#pragma once

#include <string>
#include <vector>

#include "bench/report/report.h"
#include "text/json.h"

namespace weir::bench {

enum class Verdict { kBetter, kWorse, kNoDifference, kUndecided, kNotComparable };

struct CompareOptions {
  double min_effect = 0.02;  // 2 %: less is no difference for anybody
  double wide = 0.10;        // an interval beyond it may hide a tenth: a convention
};

struct MetricChange {
  std::string run;     // label
  std::string metric;  // "ttft_ms.p95"
  std::string title;   // "TTFT p95"
  std::string unit;    // "ms", "tok/s"
  double a = 0, b = 0;
  double ratio = 0, low = 0, high = 0;  // b/a; NaN bounds when not comparable
  double p_value = 1;
  bool higher_is_better = false;
  Verdict verdict = Verdict::kNoDifference;
};

struct Comparison {
  std::vector<MetricChange> changes;  // in order of runs, then metrics
  std::vector<std::string> notes;     // unmatched labels, settings that differ, how sure one can be
  int64_t better = 0, worse = 0, undecided = 0;
  bool any_worse() const { return worse > 0; }  // exit 1 with --fail-on-worse
};

// Error: kInvalidValue when no label is in both.
Result<Comparison> compare(const Report& a, const Report& b, const CompareOptions& options = {});

std::string comparison_text(const Comparison& comparison, bool colour = false);
text::Json comparison_json(const Comparison& comparison);

}  // namespace weir::bench
