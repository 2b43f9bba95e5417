// Which types of tensors hold plain floating-point numbers. Internal to ops/.
#pragma once

#include "gguf/tensor_type.h"

namespace weir::ops {

inline bool is_float(gguf::TensorType type) {
  using gguf::TensorType;
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16 ||
         type == TensorType::kF64;
}

}  // namespace weir::ops
