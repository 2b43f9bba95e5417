// What the weights of a folder for GPU engines are quantized to: the schemes that llm-compressor
// names and compressed-tensors stores, GPTQ's and AutoAWQ's formats. Sources: compressed-tensors
// 0.20 (quantization/quant_scheme.py, compressors/), gptqmodel's and autoawq's configuration
// classes, and vLLM's loaders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "text/json.h"

namespace weir::checkpoint {

struct QuantizeScheme {
  enum class Format : uint8_t { kCompressedTensors, kGptq, kAwq };
  // kNone: weights stay as they are, the cache has scales.
  enum class Codes : uint8_t { kNone, kInteger, kE4m3, kNvfp4, kMxfp4 };
  // How an engine is told to quantize activations; it does so by itself, for each token, but for
  // what is fixed: a scale of kE4m3Fixed, and that of the scales of kNvfp4.
  enum class Activations : uint8_t { kNone, kInt8, kE4m3, kE4m3Groups, kMxfp4, kE4m3Fixed, kNvfp4 };

  Format format = Format::kCompressedTensors;
  std::string name;  // "W4A16"; "none"
  Codes codes = Codes::kInteger;
  int bits = 4;
  bool symmetric = true;
  bool packed = true;  // integers in words of 32 bits; else in bytes
  size_t group = 0;    // columns of a scale; 0: a whole row's
  size_t block = 0;    // > 0: instead, a scale for each square of so many rows and columns
  bool whole = false;  // instead, a scale for the matrix
  Activations activations = Activations::kNone;
  bool fp8_cache = false;  // an FP8 KV cache with a fixed scale for a layer's keys, one for values

  bool quantizes() const { return codes != Codes::kNone; }  // weights
  // Activations have scales that a calibration finds (MatrixCalibration::largest_input).
  bool fixed_inputs() const {
    return activations == Activations::kE4m3Fixed || activations == Activations::kNvfp4;
  }
};

struct SchemeRequest {
  std::string format;             // "compressed-tensors", "gptq", "awq"
  std::string scheme;             // as above, in any case; empty: W4A16 for gptq and awq, none of
                                  // compressed-tensors with kv_cache
  std::optional<int> group_size;  // nothing: as the scheme has it
  std::optional<bool> symmetric;  // nothing: as the scheme has it
  std::string kv_cache = {};      // "fp8", of compressed-tensors alone; or empty
};

// Error: kUsage with the field and what there is instead.
Result<QuantizeScheme> find_scheme(const SchemeRequest& request);

// quantization_config of config.json. kept: modules of matrices that are not quantized, sorted.
text::Json quantization_config(const QuantizeScheme& scheme, std::span<const std::string> kept);

}  // namespace weir::checkpoint
