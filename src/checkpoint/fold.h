// Factors that move from the columns of matrices into what makes their input, so that the model
// stays the same function: a norm's weights, or the rows of the matrix before. What AWQ and
// SmoothQuant put their scales into. Internal to checkpoint/.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/safetensors.h"

namespace weir::checkpoint {

// What a matrix is multiplied by before it is quantized; empty: 1.
struct Fold {
  std::vector<float> columns;  // [cols]
  std::vector<float> rows;     // [rows]
};

struct FoldPlace {
  std::string known_as;                    // the first reader in a GGUF file
  const SafeTensor* maker = nullptr;       // a norm's weights [cols], or a matrix [cols, any]
  bool norm = false;                       // of the two
  std::vector<const SafeTensor*> readers;  // all that is done with the input: matrices [any, cols]
};

// Of a model with the tensors `known` (by the names of a GGUF file): those of fold_rules() whose
// maker is of floats.
std::vector<FoldPlace> fold_places(const std::map<std::string, const SafeTensor*>& known);

// A norm's weights divided by factors, in their own type, and the factors that this makes of them,
// so that new weight * factor is the old one to F32's rounding. Factors are positive; where a
// weight cannot be divided, the factor becomes 1. shifted: the norm multiplies by 1 + weight.
std::vector<std::byte> divide_norm(const SafeTensor& norm, bool shifted, std::span<float> factors);

}  // namespace weir::checkpoint
