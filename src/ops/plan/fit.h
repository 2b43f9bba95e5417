// Efficiency fitted to measurements: the shares of published rates, and the fixed time of a step,
// at which the simulation shows what load generators measured.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/plan/measurement.h"
#include "ops/plan/replica_trial.h"
#include "text/json.h"

namespace weir::ops {

// One measurement and what the fit says of it.
struct FittedPoint {
  Measurement measured;
  double ttft_ms_p50 = 0, itl_ms_p50 = 0;
  // |simulated / measured - 1| at the median TTFT and ITL where this point was left out of the fit;
  // -1: there are fewer than three points.
  double held_out_error = -1;
};

struct EfficiencyFit {  // schema "weir-fit-1"
  std::string created, model, accelerator, engine;
  int devices = 1;
  Efficiency efficiency;
  // The ends of a plan: each rate moved by `ends_by`, the median held-out error; without one (fewer
  // than three loads) an assumed quarter.
  Efficiency low, high;
  double ends_by = 0;
  bool ends_held_out = false;
  std::vector<FittedPoint> points;
  double median_error = 0;  // of the fitted points themselves
};

// The request says model, device and limits; its workload and SLO do not count. Errors: those of
// make_plan(); kUsage without measurements.
Result<EfficiencyFit> fit_efficiency(const PlanRequest& request,
                                     std::span<const Measurement> measurements);

// Takes the fit's ends for the request's. Error: kUsage where the fit is of another model,
// accelerator or number of devices than the request, naming both; with `force` the ends are then
// taken as a hypothesis. A request without a device is of all of them: only the model counts, and
// the ends are a hypothesis.
Status apply_fit(const EfficiencyFit& fit, bool force, PlanRequest& request);

text::Json efficiency_fit_json(const EfficiencyFit& fit);
// The ends, and for which model, accelerator and devices: of a file that efficiency_fit_json()
// wrote. Errors: kInvalidJson, kInvalidValue naming the field and the file.
Result<EfficiencyFit> read_efficiency_fit(const std::string& path);
Result<EfficiencyFit> parse_efficiency_fit(std::string_view json);

}  // namespace weir::ops
