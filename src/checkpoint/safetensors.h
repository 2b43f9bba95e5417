// Reading safetensors files: 8 bytes of header length, a JSON header, tensor data.
// Format: https://github.com/huggingface/safetensors#format. All input is taken for hostile: the
// header is bounded before it is parsed, and every tensor is checked against the bytes that are
// there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::checkpoint {

// Bounds of what is read.
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // that of the reference implementation
inline constexpr uint64_t kMaxHeaderValues = 4 << 20;     // JSON values; 10 a tensor are usual
inline constexpr uint64_t kMaxDims = 8;

enum class Dtype {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0
};

std::string_view dtype_name(Dtype dtype);
uint64_t dtype_bytes(Dtype dtype);

struct QuantizedMatrix;

struct SafeTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<uint64_t> shape;      // row-major: the last is contiguous; empty for a scalar
  std::span<const std::byte> data;  // exactly the product of shape values; any alignment
  std::shared_ptr<const QuantizedMatrix> quantized = nullptr;  // instead of data; see quantized.h
};

// The tensors of one file in order of their data, views into `bytes`. They lie one after the other
// without gap or overlap and fill the file. `name` stands for the file in errors: kCorrupt,
// kUnsupported (an unknown dtype), kLimit.
Result<std::vector<SafeTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                  const std::string& name);

}  // namespace weir::checkpoint
