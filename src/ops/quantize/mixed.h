// Mixed precision: the types that each tensor could have, what each would cost the model, and the
// choice for a given size or loss.
//
// The loss of a type is the tensor's measured sensitivity (sensitivity.h) times the ratio of the
// output error with that type to the one with the type that was measured, on a sample of rows. That
// losses add up and grow with the squared error is a hypothesis; on SmolLM2-135M the prediction is
// held against the measured KL divergence in docs/QUANTIZATION.md.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/quantize/allocate.h"
#include "ops/quantize/quantize.h"
#include "ops/quantize/sensitivity.h"

namespace weir::ops {

struct MixedOptions {
  std::optional<double> bits_per_weight = {};  // of the file's tensor data, or
  std::optional<double> most_kl = {};          // predicted, in nats
  std::vector<gguf::TensorType> types = {};    // to choose from; empty: mixed_types()
};

struct MixedChoice {
  const gguf::Tensor* tensor = nullptr;
  double sensitivity = 0;           // measured KL with Sensitivity::type
  std::vector<TypeOption> options;  // that fit its rows
  size_t chosen = 0;
};

struct MixedPlan {
  std::vector<MixedChoice> choices;
  double predicted_kl = 0;
  std::optional<TextWindows> windows = std::nullopt;  // as Sensitivity has them
};

// What is chosen from without a list.
std::span<const gguf::TensorType> mixed_types();

// For the tensors of `plan` that are converted; the others keep their bytes. Errors: kInvalidValue
// when the goal is out of reach, with what can be had; kCorrupt when a tensor's sensitivity is
// missing: the file is of another model; those of the conversion.
Result<MixedPlan> plan_mixed(const QuantizePlan& plan, const Sensitivity& sensitivity,
                             const Calibration& calibration, const MixedOptions& options,
                             kernels::ThreadPool& pool,
                             const std::function<void(size_t, size_t)>& progress);

}  // namespace weir::ops
