// Which type each tensor gets when a size, or a loss, is given: a knapsack over what each type of
// each tensor takes and costs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "gguf/tensor_type.h"

namespace weir::ops {

struct TypeOption {
  gguf::TensorType type = gguf::TensorType::kF32;
  uint64_t bytes = 0;
  double loss = 0;  // what it adds to the model's; losses are taken to add up
};

struct Allocation {
  std::vector<size_t> choice;  // for each tensor an index into its options
  uint64_t bytes = 0;
  double loss = 0;
};

// The least loss within `most` bytes; every tensor has at least one option. Steps of each tensor's
// convex hull are taken by loss saved for a byte, then what is left is filled: at worst one step
// from the optimum. Error: kInvalidValue with the bytes of the smallest choice when `most` is
// below.
Result<Allocation> allocate_bytes(std::span<const std::vector<TypeOption>> tensors, uint64_t most);

// The fewest bytes with a loss of at most `most`. Error: kInvalidValue with the least loss there
// is.
Result<Allocation> allocate_loss(std::span<const std::vector<TypeOption>> tensors, double most);

}  // namespace weir::ops
