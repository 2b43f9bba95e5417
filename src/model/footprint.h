// What a model needs of memory, computed before anything is loaded.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/isa.h"
#include "model/config.h"

namespace weir::model {

struct Footprint {
  uint64_t weight_bytes = 0;  // packed for the kernels
  uint64_t kv_bytes = 0;      // KV cache of kv_tokens
  uint64_t kv_tokens = 0;
  uint64_t workspace_bytes = 0;  // activations and logits of the largest step
  uint64_t total_bytes() const { return weight_bytes + kv_bytes + workspace_bytes; }
};

// Bytes of one tensor once it is loaded: packed for the kernels or as f32; 0 for an embedding that
// only stays in the file's mapping. Error: kUnsupported for a type without a kernel, naming the
// tensor.
Result<uint64_t> loaded_bytes(const gguf::File& file, const gguf::Tensor& tensor, kernels::Isa isa);

// step_tokens: the largest batch of one forward. The embedding stays in the file's mapping and is
// not counted. Errors: kUnsupported for a tensor type without a kernel, naming the tensor, and for
// KV types that the head dimension does not allow; kOutOfMemory for a KV cache whose bytes no
// number here could hold.
Result<Footprint> estimate_footprint(const gguf::File& file, const Config& config, kernels::Isa isa,
                                     uint64_t kv_tokens, kernels::KvTypes kv_types,
                                     uint64_t step_tokens);

// Error: kOutOfMemory with the arithmetic when the total is above `available_bytes`.
Status check_fits(const Footprint& footprint, uint64_t available_bytes);

}  // namespace weir::model
