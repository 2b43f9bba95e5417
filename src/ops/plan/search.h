// Every accelerator, number of devices and width of the weights that could carry a workload, and
// which of them nothing else beats in cost (and, since few prices are published, in power), TTFT
// and ITL at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/plan/replica_trial.h"

namespace weir::ops {

// Bits of a weight, its type, and that of the activations (empty: see arithmetic_type).
struct SearchWeights {
  double bits = 16;
  std::string precision = "bf16";
  std::string activations = {};
};

struct SearchEngine {
  std::string name;  // of the fit's engine; "any engine" for the hypothesis
  Efficiency efficiency;
};

struct SearchSpace {
  std::vector<const Accelerator*> accelerators;  // borrowed
  std::vector<int> devices = {1, 2, 4, 8};       // tensor parallel
  std::vector<SearchWeights> weights;
  std::vector<SearchEngine> engines;
};

struct SearchFound {
  const Accelerator* accelerator = nullptr;
  std::string engine;
  int devices = 1;
  SearchWeights weights;
  std::string compute_type;                  // that they are multiplied in
  int replicas = 0;                          // spare ones counted
  LoadPoint load;                            // of a replica where the spare ones do not work
  double usd_per_million_output_tokens = 0;  // at the lowest published price; 0: none is known
  double kw = 0;          // of all devices as published, hosts not counted; 0: not known
  bool on_front = false;  // of those with a price
  bool on_power_front = false;
};

struct SearchResult {
  std::vector<SearchFound> found;  // that meet the SLO; cheapest first, then by power
  size_t tried = 0, too_small = 0, too_slow = 0;
};

// progress(done, all): on the calling thread. Errors: those of make_plan(), apart from devices that
// lack a rate or memory, FP4 on devices without its arithmetic, and numbers of devices that do not
// split the model or that nothing joins, which are passed over.
Result<SearchResult> search_plans(const PlanRequest& request, const SearchSpace& space,
                                  const std::function<void(size_t, size_t)>& progress);

}  // namespace weir::ops
