// The times of steps that were measured, as a StepTime: a linear model of their work, what it
// misses by the step's tokens, and how far single steps were from both.
#pragma once

#include <span>
#include <vector>

#include "engine/cost_model.h"
#include "ops/plan/step_time.h"

namespace weir::ops {

struct StepFit {
  engine::StepCosts costs;
  std::vector<double> by_tokens;  // MeasuredStepTime's; 1 where few steps were seen
  // Quantiles of measured over predicted, equally likely, with the mean 1 (StepTime::spread).
  std::vector<double> spread;
  // Half of the steps were predicted within this share of what they took.
  double median_error = 0;

  MeasuredStepTime time() const { return MeasuredStepTime(costs, spread, by_tokens); }
};

// Least squares of relative errors, none of the costs negative; a step that took far longer than
// usual (another process had the core) counts less (Huber's weight) for the costs, and in full for
// the spread, whose mean is carried over into by_tokens. Without samples: costs that are not known.
StepFit fit_steps(std::span<const engine::StepSample> samples);

}  // namespace weir::ops
