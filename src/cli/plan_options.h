// What the parts of weir plan share: its flags, and the parts that are files of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/data/accelerators.h"
#include "ops/plan/plan.h"

namespace weir::cli {

struct PlanOptions {
  std::string folder = ".";
  std::string model;
  std::string accelerator;
  std::vector<int> devices;  // empty: the intake's, else 1
  int pipeline = 0;          // 0: likewise, as the next ones
  int experts = 1;
  double memory_gb = 0;
  std::string kv_type;
  double weight_bits = 0;
  std::string activations;  // empty: as the weights have it
  int spare = 1;
  int32_t max_running = 0;
  int32_t step_tokens = 0;
  int32_t draft_tokens = 0;
  double acceptance = 0.7;
  uint64_t seed = 1;
  std::vector<std::string> fit;
  std::string efficiency;
  bool force_efficiency = false;
  std::vector<std::string> what_if;
  bool disaggregate = false, autoscale = false, failure = false, sensitivity = false;
  double link_gb_per_s = 25, cold_start_s = 0, trough = 0.3;
  bool search = false;
  std::vector<std::string> prices;
  std::string output, html;
  std::string validate;
  double seconds = 20;
  int threads = 0;
  bool models = false, accelerators = false;
  bool json = false;
};

// By its id, or by what a driver calls it. Borrowed from `all`. Error: kUsage with the nearest id.
Result<const ops::Accelerator*> find_device(const ops::Accelerators& all, const std::string& id);

// --price ID=USD in place of the published ones. Error: kUsage for what is no such pair.
Status set_prices(const std::vector<std::string>& prices, ops::Accelerators& all);

// --efficiency FILE into the request, if it was given. Errors: those of reading it and of
// ops::apply_fit, naming the file.
Status apply_efficiency(const PlanOptions& options, ops::PlanRequest& request);

// Each prints what it finds. search_plan: whether it found any; `all` outlives it.
Result<bool> search_plan(const PlanOptions& options, const ops::PlanRequest& request,
                         const ops::Accelerators& all);
Status fit_plan(const PlanOptions& options, const ops::PlanRequest& request);
Status validate_plan(const PlanOptions& options);

}  // namespace weir::cli
