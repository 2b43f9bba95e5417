// The times of steps that were measured, as a StepTime: a linear model of their work, and how far
// single steps were from it.
#pragma once

#include <span>
#include <vector>

#include "engine/cost_model.h"

namespace weir::ops {

struct StepFit {
  engine::StepCosts costs;
  // Quantiles of measured over predicted, equally likely, with the mean 1 (StepTime::spread).
  std::vector<double> spread;
  // Half of the steps were predicted within this share of what they took.
  double median_error = 0;
};

// Least squares of relative errors, none of the costs negative; a step that took far longer than
// usual (another process had the core) counts less (Huber's weight) for the costs, and in full for
// the spread, whose mean is carried over into the costs. Without samples: costs that are not known.
StepFit fit_steps(std::span<const engine::StepSample> samples);

}  // namespace weir::ops
