// The types of weights and activations of a checkpoint by its config.json.
#pragma once

#include "ops/plan/model_shape.h"
#include "text/json.h"

namespace weir::ops {

// Sets precision, bits_per_weight and activations. config: the object that holds
// quantization_config, or compression_config, where there is one. Methods that are not known, and
// schemes of parts of the model, count by what they say of the first part; else the weights count
// in their dtype.
void read_precision(const text::Json& config, ModelShape& shape);

}  // namespace weir::ops
