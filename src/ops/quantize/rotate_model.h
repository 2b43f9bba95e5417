// Rotating what flows through a model, by changing its weights alone (QuaRot, Ashkboos et al.,
// 2024; SpinQuant, Liu et al., 2024, whose names these are):
//   R1  the residual stream. With R orthogonal, RMSNorm(R x) = R RMSNorm(x), once the norms' own
//       weights have moved into the matrices that read them. What writes the stream (embedding,
//       attention output, feed-forward down, their biases) is multiplied by R from the left, what
//       reads it by Rᵀ from the right.
//   R2  the values of each head: the rows of v, and the columns of the output matrix.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "gguf/file.h"
#include "ops/quantize/transform.h"

namespace weir::ops {

struct RotateOptions {
  bool heads = true;             // R2 as well
  std::optional<uint64_t> seed;  // of random signs; nothing: none
};

struct RotatedModel {
  // Where one matrix was embedding and output: the same model with two, as the final norm's weights
  // go into the output alone. Its tensors' data lie in the source.
  std::optional<gguf::File> file;
  TensorTransforms transforms;
  size_t head_layers = 0;  // with R2: those whose v is a matrix of its own
};

// Reads the norms; borrows `file`. Errors: kUnsupported where the model does not stay the same
// function, with the reason: norms that subtract the mean or stand after attention and feed-forward
// parts, latent attention, positions that are added, a tensor of unknown use, a width whose odd
// part is too large; kCorrupt for tensors that are missing or of another shape than the metadata
// say; those of model::read_config.
Result<RotatedModel> rotate_model(const gguf::File& file, const RotateOptions& options);

}  // namespace weir::ops
