// What encoders search with: for a batch of blocks the scale (and min) that keep the weighted
// squared error small, and the codes nearest to given ones. One table of functions for each
// instruction set, all with the same bits: a lane is a block, and the operations of a block do not
// depend on the width. Internal to quant/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/quantize.h"

namespace weir::quant {

inline constexpr size_t kLanes = 16;      // blocks of a batch
inline constexpr size_t kMaxBlock = 32;   // values of a block
inline constexpr size_t kTableSize = 16;  // values of a table

// Blocks side by side: value i of block b at [i * kLanes + b]. Unused blocks have weight 0.
struct Batch {
  size_t n = 0;  // values of a block
  alignas(64) float x[kMaxBlock * kLanes];
  alignas(64) float w[kMaxBlock * kLanes];  // >= 0
};

// One number for each block of a batch.
struct PerBlock {
  alignas(64) float at[kLanes];
};

// Codes 0 to max; a value is scale * code + min.
struct AffineCodes {
  float max = 15;
  bool min_at_most_zero = false;
};
// Codes min to max; a value is scale * code.
struct SymmetricCodes {
  float min = -8;
  float max = 7;
};
// A value is scale * value[code]; ascending.
struct TableCodes {
  float value[kTableSize];
  size_t size = kTableSize;
};

// Of the nearest codes: the weighted squared error, and the sums that least squares take.
struct BlockSums {
  PerBlock error;
  PerBlock q, qq, xq;  // Σ w·q, Σ w·q², Σ w·x·q
};

// The scale factors that a search tries first, relative to the one that spans the block: code
// number `max + step` falls on its largest value.
struct SearchSteps {
  float first = -0.9F;
  float step = 0.1F;
  int count = 19;
  int refinements = 2;  // rounds of: codes nearest to the best so far, then least squares
};

// Rows of magnitudes of which one code stands for a whole row: value i of row r at
// [i * rows + r].
struct GridBook {
  const float* values = nullptr;
  size_t n = 8;     // values of a row: 4 or 8
  size_t rows = 0;  // a multiple of kLanes, at most kMaxGridRows
};
inline constexpr size_t kMaxGridRows = 4096;
inline constexpr size_t kMaxGridGroups = 8;

// Values that share a scale, in groups of one code each; group g at [g * n].
struct GridUnit {
  size_t groups = 0;
  float x[kMaxBlock];
  float w[kMaxBlock];  // >= 0
};

// What least squares take, for every group and row: Σ w·x·q and Σ w·q², group g at [g * rows].
struct GridSums {
  alignas(64) float xq[kMaxGridRows * 2];  // groups * rows is at most that
  alignas(64) float qq[kMaxGridRows * 2];
};

// The rows with the least error at a scale. error: without the constant Σ w·x².
struct GridChoice {
  float error = 0;
  float xq = 0, qq = 0;  // of the chosen rows, over all groups
  int32_t row[kMaxGridGroups] = {};
};

// How the weight of a value grows with the value itself.
enum class Weighting : uint8_t {
  kNone,        // not at all
  kRootSquare,  // by sqrt(2·mean(x²) + x²), the mean over up to 256 values
};

struct SearchTable {
  void (*fit_affine)(const Batch&, const AffineCodes&, const SearchSteps&, PerBlock& scale,
                     PerBlock& min);
  void (*fit_symmetric)(const Batch&, const SymmetricCodes&, const SearchSteps&, PerBlock& scale);
  void (*fit_table)(const Batch&, const TableCodes&, const SearchSteps&, PerBlock& scale);

  void (*sum_affine)(const Batch&, const AffineCodes&, const PerBlock& scale, const PerBlock& min,
                     BlockSums& out);
  void (*sum_symmetric)(const Batch&, const SymmetricCodes&, const PerBlock& scale, BlockSums& out);
  void (*sum_table)(const Batch&, const TableCodes&, const PerBlock& scale, BlockSums& out);

  // codes: [n][kLanes]; of symmetric codes less their min, of tables the index.
  void (*codes_affine)(const Batch&, const AffineCodes&, const PerBlock& scale, const PerBlock& min,
                       int32_t* codes);
  void (*codes_symmetric)(const Batch&, const SymmetricCodes&, const PerBlock& scale,
                          int32_t* codes);
  void (*codes_table)(const Batch&, const TableCodes&, const PerBlock& scale, int32_t* codes);

  void (*sum_grid)(const GridBook&, const GridUnit&, GridSums& out);
  // Of equally good rows the first.
  void (*choose_rows)(const GridBook&, size_t groups, const GridSums&, float scale,
                      GridChoice& out);

  // The weights of the errors of a row's values: importance (or nullptr) and how they grow, with a
  // mean of 1, which keeps sums of their products in range. Where a piece of 16 has no weight at
  // all, its values get a small one: their scale is free, not arbitrary. x, importance, w: [cols],
  // a multiple of 16.
  void (*weigh_row)(Weighting, const float* x, size_t cols, const float* importance, float* w);

  // quant/outer.h
  void (*add_outer)(const float* a, size_t lda, const float* b, size_t ldb, size_t count,
                    float* sums);
};

extern const SearchTable kScalarSearch;
extern const SearchTable kAvx2Search;
extern const SearchTable kAvx512Search;
const SearchTable& search_for(SearchIsa isa);

}  // namespace weir::quant
