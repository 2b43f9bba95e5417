// Scales of channels that are folded into a model's norms and matrices before it is quantized:
// AWQ's, which give columns that meet large inputs more of the codes' precision (Lin et al., 2023),
// and SmoothQuant's, which move the outliers of inputs into the weights (Xiao et al., 2023).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "checkpoint/fold_rules.h"
#include "kernels/thread_pool.h"
#include "ops/quantize/calibration.h"

namespace weir::ops {

// What was folded.
struct ChannelScales {
  size_t places = 0;  // with factors other than 1
  size_t unmeasured = 0;
  double error_before = 0, error_after = 0;  // of outputs, summed over the places' samples
};

// progress(places done, all places), on the calling thread.
using ScalesProgress = std::function<void(uint64_t, uint64_t)>;

// For each place of the plan the factors m^(α/2), m the columns' mean squares, with the α out of
// kAwqSteps in [0, 1) that gives the output the least squared error after rounding, and folds them.
// The error is that of the moments where `calibration` has them, else that of independent columns.
// The result is the same for any number of threads. Errors: those of column_weights, of
// ErrorFeedback::create and of ScalePlaces.
inline constexpr int kAwqSteps = 20;
Result<ChannelScales> fold_awq(checkpoint::ScalePlaces& plan, const Calibration& calibration,
                               kernels::ThreadPool& pool, const ScalesProgress& progress);

// For each place the factors |x|^α / |w|^(1 − α) of the columns' largest magnitudes, and folds
// them; errors stay 0. Errors: kUnsupported for an importance matrix without the largest
// magnitudes, kCorrupt for one of another model, those of ScalePlaces::sample.
Result<ChannelScales> fold_smoothquant(checkpoint::ScalePlaces& plan,
                                       const ImportanceMatrix& importance, float alpha,
                                       const ScalesProgress& progress);

}  // namespace weir::ops
