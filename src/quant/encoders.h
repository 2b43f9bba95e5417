// The encoders behind quantize_rows, by kind of format. Internal to quant/.
#pragma once

#include <cstddef>

#include "quant/search.h"

namespace weir::quant {

// x: `blocks` blocks of the format, w: a weight >= 0 for each value, finite both; |x| <= 65504.
// dst: the blocks' bytes.
using BlocksEncoder = void (*)(const SearchTable& search, const float* x, const float* w,
                               size_t blocks, std::byte* dst);

// encode_blocks32.cc
void search_q4_0(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_q4_1(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_q5_0(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_q5_1(const SearchTable&, const float*, const float*, size_t, std::byte*);
// encode_affine256.cc
void search_q2_k(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_q4_k(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_q5_k(const SearchTable&, const float*, const float*, size_t, std::byte*);
// encode_scaled256.cc
void search_q3_k(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_q6_k(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_iq4_xs(const SearchTable&, const float*, const float*, size_t, std::byte*);
// encode_tables.cc
void search_iq4_nl(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_mxfp4(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_nvfp4(const SearchTable&, const float*, const float*, size_t, std::byte*);
// encode_ternary.cc
void search_tq1_0(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_tq2_0(const SearchTable&, const float*, const float*, size_t, std::byte*);
// encode_grid.cc
void search_iq1_s(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_iq1_m(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_iq2_xxs(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_iq2_xs(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_iq2_s(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_iq3_xxs(const SearchTable&, const float*, const float*, size_t, std::byte*);
void search_iq3_s(const SearchTable&, const float*, const float*, size_t, std::byte*);

// Blocks `first` to `first + count` (at most kLanes) of n values each, side by side; the other
// lanes are empty.
void load_batch(const float* x, const float* w, size_t n, size_t count, Batch& batch);

// The nearest f16, never infinite, and what it stands for.
struct Half {
  uint16_t bits = 0;
  float value = 0;
};
Half to_half(float value);
// Every scale becomes the nearest f16, whose bits are those of its block.
void round_to_half(PerBlock& scale, uint16_t (&bits)[kLanes]);

inline std::byte to_byte(uint32_t value) { return static_cast<std::byte>(value); }

}  // namespace weir::quant
