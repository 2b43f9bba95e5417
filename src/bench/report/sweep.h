// What several runs at rising load say together: where latency starts to rise faster than
// throughput, and the highest load that keeps the SLO.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/report/summary.h"

namespace weir::bench {

struct SweepPoint {
  size_t run = 0;         // index into the runs
  double load = 0;        // offered requests/s, or concurrency
  double throughput = 0;  // output tokens/s
  double latency_ms = 0;  // p95 TTFT where there is one, else p95 end to end
  double slo_share = 0;
  bool meets_slo = false;
};

struct Sweep {
  std::vector<SweepPoint> points;  // by load
  // Kneedle (Satopaa et al., "Finding a Kneedle in a Haystack", ICDCSW 2011) over (latency,
  // throughput): concave and rising; the point farthest above the chord once both axes are scaled
  // to [0, 1]. Index into points; none when there are fewer than 4 points, or no point stands at
  // least kMinKneeHeight above the chord.
  std::optional<size_t> knee;
  // The last point of the longest run of points from the lowest load on that meet the SLO: a higher
  // rate that met it by luck behind one that did not is not counted. None without an SLO.
  std::optional<size_t> highest_within_slo;
  // Load at which the SLO share, interpolated linearly between that point and the next, falls to
  // the wanted share; the point's own load when all meet it; 0: none.
  double slo_load = 0;
  std::string note;  // one sentence for people: what was found, or why nothing

  static constexpr double kMinKneeHeight = 0.1;
};

Sweep find_sweep(const std::vector<LoadSummary>& runs, const Slo& slo);

// The loads of a sweep, geometric between the bounds; low alone when count is 1.
// Preconditions: 0 < low <= high, count >= 1.
std::vector<double> sweep_loads(double low, double high, int count);

}  // namespace weir::bench
