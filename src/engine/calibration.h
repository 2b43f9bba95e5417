// Times a few steps on a model that nobody uses yet, and fits a CostModel to them.
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/cost_model.h"
#include "engine/runner.h"

namespace weir::engine {

struct CalibrationOptions {
  // No step starts that would pass it, by the time of those before; the two that a fit needs at
  // least (one decode, one short prompt) always run.
  double budget_ms = 600;
};

struct Calibration {
  CostModel model;
  std::vector<StepSample> samples;  // the fastest of each kind's repetitions
  double took_ms = 0;
};

// Writes to the first pages of the KV cache: call it before an engine uses the runner. An encoder
// is not probed: its model starts empty and learns from the steps it serves. Errors: those of
// the runner.
Result<Calibration> calibrate(Runner& runner, const Clock& clock,
                              const CalibrationOptions& options = {});

}  // namespace weir::engine
