// Importance matrices: for each matrix of a model the sum of squares of the activations that met
// each of its columns, and the largest magnitude among them. Files: GGUF as llama.cpp's
// llama-imatrix writes it since 2025 (tensors NAME.in_sum2 [cols, matrices] and NAME.counts [1,
// matrices]; of weir's own and ignored there: NAME.in_largest, and for each layer N
// blk.N.k_cache.largest and blk.N.v_cache.largest, [cols] of what its KV cache was given), read and
// written; its older .dat (little endian: entries, then length, name, calls, values, floats), read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "ops/eval/windows.h"

namespace weir::ops {

struct ImportanceEntry {
  std::string name;                // of the matrix: "blk.0.attn_q.weight"
  std::vector<float> sum_squares;  // [matrices, cols]; experts are matrices
  std::vector<float> counts;       // [matrices]: rows of activations summed; one for a .dat
  // [matrices, cols] magnitudes; empty where others made the file
  std::vector<float> largest = {};

  // Matrices (experts) that no row of activations met.
  size_t unseen() const;
};

// The largest magnitudes that a layer's KV cache was given, column by column: keys after rotation.
struct CachedLargest {
  int32_t layer = 0;
  std::vector<float> keys, values;  // [kv_heads * head_dim]
};

struct ImportanceMatrix {
  std::vector<ImportanceEntry> entries;  // by name, ascending
  // Of every layer, ascending; empty where others made the file, and with latent attention.
  std::vector<CachedLargest> cache = {};
  std::vector<std::string> datasets;  // where the text came from
  uint32_t chunks = 0;
  uint32_t chunk_tokens = 0;
  Hash128 hash;                                       // of the file that it was read from
  std::optional<TextWindows> windows = std::nullopt;  // of the text; other tools write none

  const ImportanceEntry* find(std::string_view name) const;
  const CachedLargest* cached(int32_t layer) const;
};

// Mean squares of a matrix's inputs: [matrices, cols], into out, whose size is that of the tensor.
// Where nothing was seen all columns count the same. Error: kCorrupt when the sizes differ: the
// file is of another model.
Status mean_squares(const ImportanceEntry& entry, size_t cols, size_t matrices,
                    std::vector<float>& out);

// The largest magnitudes of a single matrix's inputs, [cols]. Errors: kUnsupported where the file
// has none, kCorrupt when the sizes differ, naming the matrix.
Result<std::span<const float>> largest_inputs(const ImportanceEntry& entry, size_t cols);

// What met one of a layer's experts' matrices.
struct ExpertInputs {
  std::vector<float> means;  // squares, [cols]
  float largest = 0;         // magnitude; 0 where the file has none
  bool seen = false;         // else no row met it, and these are over all experts of the layer
};
// Where no row met any expert all columns count the same. Error: kCorrupt when the sizes differ or
// there is no such expert: the file is of another model.
Result<ExpertInputs> expert_inputs(const ImportanceEntry& entry, size_t expert, size_t cols);

// Errors: those of os::read_file; kCorrupt naming file, entry and what is wrong with it: sizes, a
// value that is negative, infinite or NaN.
Result<ImportanceMatrix> read_imatrix(const std::string& path);
// The same from the bytes of a .dat; `name` stands for the file in errors.
Result<ImportanceMatrix> parse_imatrix_dat(std::span<const std::byte> bytes,
                                           const std::string& name);
// As GGUF. Errors: those of gguf::Writer::write_file.
Status write_imatrix(const ImportanceMatrix& matrix, const std::string& path);

}  // namespace weir::ops
