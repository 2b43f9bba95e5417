// Sums of outer products, a piece of 16 by 64 at a time: what second moments are made of, and what
// errors fed back into later columns come to.
#pragma once

#include <cstddef>

#include "quant/quantize.h"

namespace weir::quant {

inline constexpr size_t kOuterRows = 16;
inline constexpr size_t kOuterCols = 64;

// sums[r * kOuterCols + c] += Σ_t a[t * lda + r] · b[t * ldb + c] over t < count, in that order;
// all f32. The same bits with every isa. Any thread.
void add_outer(SearchIsa isa, const float* a, size_t lda, const float* b, size_t ldb, size_t count,
               float* sums);

}  // namespace weir::quant
