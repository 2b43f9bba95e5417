// One attention tile over V: scores of all rows against a page, online softmax per row, then the
// page's values.
#pragma once

#include "kernels/generic/math.h"
#include "kernels/table.h"

namespace weir::kernels::generic {

// Floats between rows of queries and outputs: constant, so that rows stand at constant offsets, and
// not a multiple of a cache way, so that the rows of a tile do not fall into the same sets.
inline constexpr size_t kRowStride = kMaxHeadDim + 16;

template <typename V>
struct TileState {
  float q[kMaxTileRows * kRowStride];      // [rows][head_dim], scaled
  float s[kMaxTileRows * kMaxPageTokens];  // scores, then probabilities
  float out[kMaxTileRows * kRowStride];    // [rows][head_dim], unnormalised
  V sum[kMaxTileRows];                     // of probabilities, per lane
  float top[kMaxTileRows];                 // running maximum
  size_t lo[kMaxTileRows];                 // visible slots of the current page
  size_t hi[kMaxTileRows];
};

// s[r][j] = q[r] · k[j] for R rows and C vectors of keys; one fma chain over the dimension.
template <typename V, size_t R, size_t C>
void scores(const float* q, const uint16_t* k, size_t head_dim, size_t page_tokens, float* s) {
  V acc[R][C];
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c] = V::zero();
  }
  for (size_t d = 0; d < head_dim; ++d) {
    V key[C];
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) key[c] = V::load_f16(k + d * page_tokens + c * V::kWidth);
#pragma GCC unroll 12
    for (size_t r = 0; r < R; ++r) {
      const V x = V::set(q[r * kRowStride + d]);
#pragma GCC unroll 4
      for (size_t c = 0; c < C; ++c) acc[r][c] = fma(x, key[c], acc[r][c]);
    }
  }
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c].store(s + r * kMaxPageTokens + c * V::kWidth);
  }
}

// out[r] += sum over slots j in [lo, hi) of s[r][j] * v[j], for R rows and C vectors of dimensions.
template <typename V, size_t R, size_t C>
void values(const float* s, const uint16_t* v, size_t head_dim, size_t lo, size_t hi, float* out) {
  V acc[R][C];
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c] = V::load(out + r * kRowStride + c * V::kWidth);
  }
  for (size_t j = lo; j < hi; ++j) {
    V value[C];
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) value[c] = V::load_f16(v + j * head_dim + c * V::kWidth);
#pragma GCC unroll 12
    for (size_t r = 0; r < R; ++r) {
      const V p = V::set(s[r * kMaxPageTokens + j]);
#pragma GCC unroll 4
      for (size_t c = 0; c < C; ++c) acc[r][c] = fma(p, value[c], acc[r][c]);
    }
  }
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c].store(out + r * kRowStride + c * V::kWidth);
  }
}

template <typename V, size_t R>
void scores_rows(size_t rows, const float* q, const uint16_t* k, size_t head_dim,
                 size_t page_tokens, float* s) {
  if constexpr (R > 1) {
    if (rows < R) return scores_rows<V, R - 1>(rows, q, k, head_dim, page_tokens, s);
  }
  constexpr size_t wide = V::kWidth * V::kTileVecs;
  size_t j = 0;
  for (; j + wide <= page_tokens; j += wide)
    scores<V, R, V::kTileVecs>(q, k + j, head_dim, page_tokens, s + j);
  for (; j < page_tokens; j += V::kWidth) scores<V, R, 1>(q, k + j, head_dim, page_tokens, s + j);
}

template <typename V, size_t R>
void values_rows(size_t rows, const float* s, const uint16_t* v, size_t head_dim, size_t lo,
                 size_t hi, float* out) {
  if constexpr (R > 1) {
    if (rows < R) return values_rows<V, R - 1>(rows, s, v, head_dim, lo, hi, out);
  }
  constexpr size_t wide = V::kWidth * V::kTileVecs;
  size_t d = 0;
  for (; d + wide <= head_dim; d += wide)
    values<V, R, V::kTileVecs>(s, v + d, head_dim, lo, hi, out + d);
  for (; d < head_dim; d += V::kWidth) values<V, R, 1>(s, v + d, head_dim, lo, hi, out + d);
}

// values() for `rows` rows from row r, in register tiles; every row of them sees [lo, hi).
template <typename V>
void add_values(TileState<V>& t, size_t r, size_t rows, const uint16_t* v, size_t head_dim,
                size_t lo, size_t hi) {
  if (lo >= hi) return;
  for (const size_t end = r + rows; r < end; r += V::kTileRows) {
    const size_t n = end - r < V::kTileRows ? end - r : V::kTileRows;
    values_rows<V, V::kTileRows>(n, t.s + r * kMaxPageTokens, v, head_dim, lo, hi,
                                 t.out + r * kRowStride);
  }
}

// Turns the scores of row r into probabilities relative to the running maximum and rescales what
// the row has so far.
template <typename V>
void softmax_row(TileState<V>& t, size_t r, const AttentionTile& tile) {
  float* s = t.s + r * kMaxPageTokens;
  const size_t n = tile.layout.page_tokens;
  V top = V::set(-__builtin_inff());
  for (size_t j = 0; j < n; j += V::kWidth) {
    V x = V::load(s + j);
    if (tile.softcap > 0.0F) x = tanh(x * V::set(1.0F / tile.softcap)) * V::set(tile.softcap);
    const size_t lo = t.lo[r] > j ? t.lo[r] - j : 0;
    const size_t hi = t.hi[r] > j ? t.hi[r] - j : 0;
    x = keep_lanes(x, lo < V::kWidth ? lo : V::kWidth, hi < V::kWidth ? hi : V::kWidth);
    x.store(s + j);
    top = max(top, x);
  }
  const float page_top = reduce_max(top);
  if (!(page_top <= t.top[r])) {
    const V shrink = exp(V::set(t.top[r] - page_top));
    t.top[r] = page_top;
    t.sum[r] = t.sum[r] * shrink;
    float* out = t.out + r * kRowStride;
    for (size_t d = 0; d < tile.layout.head_dim; d += V::kWidth)
      (V::load(out + d) * shrink).store(out + d);
  }
  const V base = V::set(t.top[r]);
  V sum = V::zero();
  for (size_t j = 0; j < n; j += V::kWidth) {
    const V p = exp(V::load(s + j) - base);
    p.store(s + j);
    sum = sum + p;
  }
  t.sum[r] = t.sum[r] + sum;
}

// The values of one page. Rows that see the same slots run together; a row's slots always come in
// ascending order.
template <typename V>
void page_values(TileState<V>& t, const AttentionTile& tile, const uint16_t* v) {
  const size_t hd = tile.layout.head_dim;
  const size_t rows = tile.tokens * tile.group;
  size_t lo = 0;
  size_t hi = kMaxPageTokens;
  for (size_t r = 0; r < rows; r += tile.group) {
    lo = t.lo[r] > lo ? t.lo[r] : lo;
    hi = t.hi[r] < hi ? t.hi[r] : hi;
  }
  if (lo >= hi) {
    for (size_t r = 0; r < rows; r += tile.group)
      add_values<V>(t, r, tile.group, v, hd, t.lo[r], t.hi[r]);
    return;
  }
  for (size_t r = 0; r < rows; r += tile.group) add_values<V>(t, r, tile.group, v, hd, t.lo[r], lo);
  add_values<V>(t, 0, rows, v, hd, lo, hi);
  for (size_t r = 0; r < rows; r += tile.group) add_values<V>(t, r, tile.group, v, hd, hi, t.hi[r]);
}

template <typename V>
void load_queries(TileState<V>& t, const AttentionTile& tile) {
  const size_t hd = tile.layout.head_dim;
  for (size_t i = 0; i < tile.tokens; ++i) {
    for (size_t g = 0; g < tile.group; ++g) {
      const size_t r = i * tile.group + g;
      const float* q = tile.q + i * tile.ldq + g * hd;
      for (size_t d = 0; d < hd; d += V::kWidth) {
        (V::load(q + d) * V::set(tile.scale)).store(t.q + r * kRowStride + d);
        V::zero().store(t.out + r * kRowStride + d);
      }
      t.sum[r] = V::zero();
      t.top[r] = -__builtin_inff();
    }
  }
}

template <typename V>
void store_outputs(const TileState<V>& t, const AttentionTile& tile) {
  const size_t hd = tile.layout.head_dim;
  for (size_t i = 0; i < tile.tokens; ++i) {
    for (size_t g = 0; g < tile.group; ++g) {
      const size_t r = i * tile.group + g;
      float total = reduce_add(t.sum[r]);
      if (tile.sinks != nullptr) total += reduce_max(exp(V::set(tile.sinks[g] - t.top[r])));
      const V scale = V::set(1.0F / total);
      float* out = tile.out + i * tile.ldo + g * hd;
      for (size_t d = 0; d < hd; d += V::kWidth) {
        (V::load(t.out + r * kRowStride + d) * scale).store(out + d);
      }
    }
  }
}

// Sets the slots of page `page` that each row sees; returns whether any row sees one.
template <typename V>
bool visible_slots(TileState<V>& t, const AttentionTile& tile, size_t page) {
  const size_t n = tile.layout.page_tokens;
  const size_t begin = page * n;
  bool any = false;
  for (size_t i = 0; i < tile.tokens; ++i) {
    const size_t end_key = tile.position + i + 1;  // keys [first_key, end_key)
    const size_t first_key = tile.window > 0 && end_key > tile.window ? end_key - tile.window : 0;
    size_t lo = first_key > begin ? first_key - begin : 0;
    size_t hi = end_key > begin ? end_key - begin : 0;
    lo = lo < n ? lo : n;
    hi = hi < n ? hi : n;
    if (hi <= lo) lo = hi = 0;
    any = any || hi > lo;
    for (size_t g = 0; g < tile.group; ++g) {
      t.lo[i * tile.group + g] = lo;
      t.hi[i * tile.group + g] = hi;
    }
  }
  return any;
}

// Pages lie anywhere in the pool, so the hardware does not see the next one coming.
template <typename V>
void prefetch_page(const uint16_t* page, size_t elements) {
  for (size_t i = 0; i < elements; i += 32) __builtin_prefetch(page + i);
}

template <typename V>
void attend(const AttentionTile& tile) {
  alignas(64) TileState<V> t;
  load_queries<V>(t, tile);
  const KvLayout& layout = tile.layout;
  const size_t rows = tile.tokens * tile.group;
  const size_t pages = (tile.position + tile.tokens + layout.page_tokens - 1) / layout.page_tokens;
  const size_t first = tile.window > 0 && tile.position + 1 > tile.window
                           ? (tile.position + 1 - tile.window) / layout.page_tokens
                           : 0;
  const size_t page_elements = layout.page_tokens * layout.kv_heads * layout.head_dim;
  for (size_t p = first; p < pages; ++p) {
    if (!visible_slots<V>(t, tile, p)) continue;
    const size_t offset = static_cast<size_t>(tile.pages[p]) * page_elements;
    const size_t next =
        p + 1 < pages ? static_cast<size_t>(tile.pages[p + 1]) * page_elements : offset;
    prefetch_page<V>(tile.k + next, layout.head_dim * layout.page_tokens);
    for (size_t r = 0; r < rows; r += V::kTileRows) {
      const size_t n = rows - r < V::kTileRows ? rows - r : V::kTileRows;
      scores_rows<V, V::kTileRows>(n, t.q + r * kRowStride, tile.k + offset, layout.head_dim,
                                   layout.page_tokens, t.s + r * kMaxPageTokens);
    }
    for (size_t r = 0; r < rows; ++r) {
      if (t.hi[r] > t.lo[r]) softmax_row<V>(t, r, tile);
    }
    prefetch_page<V>(tile.v + next, layout.head_dim * layout.page_tokens);
    page_values<V>(t, tile, tile.v + offset);
  }
  store_outputs<V>(t, tile);
}

}  // namespace weir::kernels::generic
