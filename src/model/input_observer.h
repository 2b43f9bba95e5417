// Looking at what the matrices of a model read and what its KV cache is given, for statistics over
// them. Costs a comparison per operator when nobody looks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace weir::model {

// The matrices that read the same input; or the cache.
enum class MatrixInput : uint8_t {
  kAttention,    // Q, K and V, or their first halves with latent attention
  kLatentQuery,  // the second half of Q
  kAttentionOutput,
  kFeedForward,  // gate and up
  kDown,
  kExpert,  // gate and up of one expert
  kExpertDown,
  kSharedExpert,
  kSharedExpertDown,
  kCachedKeys,    // normed and rotated; not with latent attention
  kCachedValues,  // the same
};

struct ObservedInput {
  MatrixInput reader;
  int32_t layer = 0;
  int32_t expert = 0;        // of kExpert and kExpertDown
  const float* x = nullptr;  // row t at x + t * ldx; f32, before any rounding
  size_t ldx = 0;
  size_t rows = 0;  // tokens; of an expert those that chose it
  size_t cols = 0;
};

// Called on the thread that runs the forward pass, before the operator reads.
using InputObserver = std::function<void(const ObservedInput&)>;

}  // namespace weir::model
