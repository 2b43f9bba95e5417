// Matrices that a checkpoint's maker quantized, in the layouts that GPU engines read: GPTQ,
// AutoAWQ, compressed-tensors (pack-quantized, int-quantized, float-quantized, nvfp4- and
// mxfp4-pack- quantized) and block FP8. Several tensors of the file stand for one matrix; what
// follows sees that matrix alone. Internal to checkpoint/. Sources of the layouts: the packages
// compressed-tensors 0.17 (compressors/), gptqmodel and autoawq (linear layers), and vLLM's
// loaders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "gguf/tensor_type.h"
#include "text/json.h"

namespace weir::checkpoint {

// quantization_config of config.json, as far as its tensors do not say it themselves.
struct QuantizationConfig {
  enum class Method : uint8_t { kNone, kGptq, kAwq, kCompressedTensors, kFp8 };
  Method method = Method::kNone;
  int bits = 4;                 // of GPTQ: 4 or 8
  bool zeros_less_one = false;  // of GPTQ: zero points are stored less 1
};

// Errors: kUnsupported naming the method or what of it is not read; kCorrupt for a wrong field.
Result<QuantizationConfig> read_quantization_config(const text::Json& json);

// [rows, cols]; value = (code - zero) * scale, or float code * scale.
struct QuantizedMatrix {
  enum class Codes : uint8_t {
    kRows,    // I32 [rows, cols * bits / 32], the lowest bits first
    kDown,    // I32 [cols * bits / 32, rows]
    kAcross,  // I32 [cols, rows / 8], nibbles in AutoAWQ's order
    kInt8,    // [rows, cols], signed
    kE4m3,    // [rows, cols]
    kE2m1,    // [rows, cols / 2], the low nibble first
  };
  enum class Zeros : uint8_t {
    kConstant,  // `offset`
    kRows,      // I32 [rows * bits / 32, groups], unsigned
    kAcross,    // I32 [groups, rows * bits / 32]; plus `offset`
    kAwq,       // I32 [groups, rows / 8] in AutoAWQ's order
    kInt8,      // [rows, groups], signed; plus `offset`
  };
  std::string name;
  size_t rows = 0, cols = 0;
  Codes codes = Codes::kRows;
  int bits = 4;
  std::span<const std::byte> code_bytes;

  std::span<const std::byte> scale_bytes;
  Dtype scale_type = Dtype::kF16;           // F32, F16, BF16, F8E4M3; U8 is a power of two (E8M0)
  size_t group = 0;                         // columns of a scale
  size_t scale_rows = 1;                    // rows of a scale
  size_t row_stride = 0, group_stride = 0;  // of scales; 0: one for all
  float factor = 1;                         // of every scale

  Zeros zeros = Zeros::kConstant;
  int offset = 0;
  std::span<const std::byte> zero_bytes;
  std::vector<uint32_t> group_of;  // of a column; empty: column / group

  // The type that loses nothing, but for scales that are no f16, where there is one; else F16.
  gguf::TensorType natural = gguf::TensorType::kF16;
  gguf::TensorType find_natural() const;
  // Row `row` in a type: of `natural` the codes as they stand, else by way of floats.
  // Error: kInvalidValue for a value that the type cannot hold.
  Status write_row(size_t row, gguf::TensorType type, std::span<std::byte> to) const;
  // to: [cols]
  void read_row(size_t row, std::span<float> to) const;
};

// The same tensors, the parts of each quantized matrix replaced by one "NAME.weight" with shape
// [rows, cols], no data, and `quantized`. Errors: kCorrupt for parts that are missing or do not fit
// one another; kUnsupported for types and sizes that are not read, naming the tensor.
Result<std::vector<SafeTensor>> join_quantized(const QuantizationConfig& config,
                                               std::vector<SafeTensor> tensors);

}  // namespace weir::checkpoint
