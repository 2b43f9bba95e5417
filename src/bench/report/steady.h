// Where warm-up ends and drain begins. Internal to bench/.
//
// Warm-up: MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation
// output", Simulation 1997; White, Cobb and Spratt, WSC 2000) on the series of output tokens/s:
// 80 batches over the time of sending (each stands for the five bins of MSER-5); what is cut is the
// d that makes the squared standard error of the rest, sum (x_i - mean)^2 / (n - d)^2, least, with
// d at most half of the series. A least value at the half says that the run never settled. Drain:
// what follows the last request sent.
//
// A run whose latency climbs throughout is not steady whatever its throughput says (its queue
// grows: the load is over capacity): a Mann-Kendall test on the means of 20 stretches of TTFT with
// z above 3, and a last quarter 1.5 times slower than the first.
#pragma once

#include <span>
#include <string>

#include "bench/load/measurement.h"
#include "bench/report/timeline.h"

namespace weir::bench {

struct SteadyWindow {
  bool found = false;
  Window window;
  std::string how;
};

SteadyWindow find_steady(const LoadRun& run);

// Items to cut from the front of a series by MSER; at most half. `settled` is false when it is the
// half.
struct MserCut {
  size_t cut = 0;
  bool settled = true;
};
MserCut mser(std::span<const double> series);

// Mann-Kendall's z: above 0 rising; 0 for fewer than 4.
double mann_kendall_z(std::span<const double> series);

}  // namespace weir::bench
