// What a calibration found about the matrices of a folder that is to be quantized. How it is found
// is ops/' business; this is what the folder's writer asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace weir::checkpoint {

// Rows of a matrix and their scales: value = (code - zero) * scale, code in [0, 2^bits).
struct GroupedRows {
  size_t rows = 0, cols = 0, groups = 0;  // groups of a row have cols / groups columns
  int bits = 4;
  std::span<const float> values;   // [rows, cols]
  std::span<const float> scales;   // [rows, groups]
  std::span<const uint8_t> zeros;  // [rows, groups]
};

// Chooses the codes of rows whose scales are given.
class CodeChooser {
 public:
  virtual ~CodeChooser() = default;
  // codes: [rows, cols]. A row's result depends on it alone. Any thread.
  virtual Status choose(const GroupedRows& rows, std::span<uint8_t> codes) const = 0;
};

// Of one matrix; what is empty or nullptr changes nothing.
struct MatrixCalibration {
  std::span<const float> weights;        // [cols], of squared errors, in the search for scales
  const CodeChooser* chooser = nullptr;  // nullptr: the nearest codes
  float largest_input = 0;               // magnitude; 0 where it was not measured
};

// The largest magnitudes that a layer's KV cache was given, column by column, keys after rotation:
// [kv_heads * head_dim]; empty where they were not measured.
struct CacheCalibration {
  std::span<const float> keys, values;
};

// A matrix by the name that GGUF files have for it.
struct MatrixKey {
  std::string name;  // "blk.0.attn_q.weight"
  int expert = -1;   // >= 0: one of those that a GGUF file stacks under this name
};

// One thread.
class FolderCalibration {
 public:
  virtual ~FolderCalibration() = default;
  // What it points to is valid until the next call. folded: [cols] what the matrix' columns were
  // multiplied by after the measurement, and its inputs divided by; or empty. Errors: those of what
  // was measured, naming the matrix.
  virtual Result<MatrixCalibration> of(const MatrixKey& matrix, size_t cols,
                                       std::span<const float> folded) = 0;
  virtual CacheCalibration cache_of(int32_t layer) = 0;
};

}  // namespace weir::checkpoint
