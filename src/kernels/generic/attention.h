// One attention tile over V: scores of all rows against a page, online softmax per row, then the
// page's values.
#pragma once

#include "kernels/generic/kv_readers.h"
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
// keys: a reader of kv_readers.h.
template <typename V, typename Keys, size_t R>
void scores(const float* q, Keys keys, size_t head_dim, float* s) {
  constexpr size_t C = Keys::kVecs;
  V acc[R][C];
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c] = V::zero();
  }
  keys.for_each(
      head_dim, [&](size_t d, const V(&key)[C]) __attribute__((always_inline)) {
#pragma GCC unroll 12
        for (size_t r = 0; r < R; ++r) {
          const V x = V::set(q[r * kRowStride + d]);
#pragma GCC unroll 4
          for (size_t c = 0; c < C; ++c) acc[r][c] = fma(x, key[c], acc[r][c]);
        }
      });
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c].store(s + r * kMaxPageTokens + c * V::kWidth);
  }
}

// out[r] += sum over slots j in [lo, hi) of s[r][j] * v[j], for R rows and C vectors of dimensions.
// v: the page's rows of row_bytes each; d: the first dimension.
template <typename V, KvType T, size_t R, size_t C>
void values(const float* s, const std::byte* v, size_t row_bytes, size_t d, size_t lo, size_t hi,
            float* out) {
  V acc[R][C];
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c] = V::load(out + r * kRowStride + c * V::kWidth);
  }
  for (size_t j = lo; j < hi; ++j) {
    V value[C];
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c)
      value[c] = load_value<V, T>(v + j * row_bytes, d + c * V::kWidth);
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

template <typename V, KvType T, size_t R>
void scores_rows(size_t rows, const float* q, const std::byte* k, size_t head_dim,
                 size_t page_tokens, float* s) {
  if constexpr (R > 1) {
    if (rows < R) return scores_rows<V, T, R - 1>(rows, q, k, head_dim, page_tokens, s);
  }
  constexpr size_t wide = V::kWidth * V::kTileVecs;
  using Wide = Keys<V, T, V::kTileVecs>;
  using Narrow = Keys<V, T, 1>;
  size_t j = 0;
  for (; j + wide <= page_tokens; j += wide)
    scores<V, Wide, R>(q, Wide{k, j, page_tokens}, head_dim, s + j);
  for (; j < page_tokens; j += V::kWidth)
    scores<V, Narrow, R>(q, Narrow{k, j, page_tokens}, head_dim, s + j);
}

template <typename V, KvType T, size_t R>
void values_rows(size_t rows, const float* s, const std::byte* v, size_t head_dim, size_t lo,
                 size_t hi, float* out) {
  if constexpr (R > 1) {
    if (rows < R) return values_rows<V, T, R - 1>(rows, s, v, head_dim, lo, hi, out);
  }
  constexpr size_t wide = V::kWidth * V::kTileVecs;
  const size_t row_bytes = value_row_bytes<V, T>(head_dim);
  size_t d = 0;
  for (; d + wide <= head_dim; d += wide)
    values<V, T, R, V::kTileVecs>(s, v, row_bytes, d, lo, hi, out + d);
  for (; d < head_dim; d += V::kWidth) values<V, T, R, 1>(s, v, row_bytes, d, lo, hi, out + d);
}

// Scores of all rows of the tile against one page of keys.
template <typename V, KvType T>
void page_scores(TileState<V>& t, const AttentionTile& tile, const std::byte* k) {
  const size_t rows = tile.tokens * tile.group;
  for (size_t r = 0; r < rows; r += V::kTileRows) {
    const size_t n = rows - r < V::kTileRows ? rows - r : V::kTileRows;
    scores_rows<V, T, V::kTileRows>(n, t.q + r * kRowStride, k, tile.layout.head_dim,
                                    tile.layout.page_tokens, t.s + r * kMaxPageTokens);
  }
}

// values() for `rows` rows from row r, in register tiles; every row of them sees [lo, hi).
template <typename V, KvType T>
void add_values(TileState<V>& t, size_t r, size_t rows, const std::byte* v, size_t head_dim,
                size_t lo, size_t hi) {
  if (lo >= hi) return;
  for (const size_t end = r + rows; r < end; r += V::kTileRows) {
    const size_t n = end - r < V::kTileRows ? end - r : V::kTileRows;
    values_rows<V, T, V::kTileRows>(n, t.s + r * kMaxPageTokens, v, head_dim, lo, hi,
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
template <typename V, KvType T>
void page_values(TileState<V>& t, const AttentionTile& tile, const std::byte* v) {
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
      add_values<V, T>(t, r, tile.group, v, hd, t.lo[r], t.hi[r]);
    return;
  }
  for (size_t r = 0; r < rows; r += tile.group)
    add_values<V, T>(t, r, tile.group, v, hd, t.lo[r], lo);
  add_values<V, T>(t, 0, rows, v, hd, lo, hi);
  for (size_t r = 0; r < rows; r += tile.group)
    add_values<V, T>(t, r, tile.group, v, hd, hi, t.hi[r]);
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
    // Keys [first_key, end_key).
    const size_t end_key = tile.keys > 0 ? tile.keys : tile.position + i + 1;
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
void prefetch_page(const std::byte* page, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(page + i);
}

template <typename V>
using PageStep = void (*)(TileState<V>&, const AttentionTile&, const std::byte*);

template <typename V>
PageStep<V> choose_scores(KvType type) {
  switch (type) {
    case KvType::kBF16:
      return page_scores<V, KvType::kBF16>;
    case KvType::kQ8_0:
      return page_scores<V, KvType::kQ8_0>;
    case KvType::kQ4_0:
      return page_scores<V, KvType::kQ4_0>;
    default:
      return page_scores<V, KvType::kF16>;
  }
}

template <typename V>
PageStep<V> choose_values(KvType type) {
  switch (type) {
    case KvType::kBF16:
      return page_values<V, KvType::kBF16>;
    case KvType::kQ8_0:
      return page_values<V, KvType::kQ8_0>;
    case KvType::kQ4_0:
      return page_values<V, KvType::kQ4_0>;
    default:
      return page_values<V, KvType::kF16>;
  }
}

template <typename V>
void attend(const AttentionTile& tile) {
  alignas(64) TileState<V> t;
  load_queries<V>(t, tile);
  const KvLayout& layout = tile.layout;
  const size_t rows = tile.tokens * tile.group;
  const size_t keys = tile.keys > 0 ? tile.keys : tile.position + tile.tokens;
  const size_t pages = (keys + layout.page_tokens - 1) / layout.page_tokens;
  const size_t first = tile.window > 0 && tile.position + 1 > tile.window
                           ? (tile.position + 1 - tile.window) / layout.page_tokens
                           : 0;
  const size_t k_bytes = tile.k_page_bytes / layout.kv_heads;  // of this head in a page
  const size_t v_bytes = tile.v_page_bytes / layout.kv_heads;
  const PageStep<V> run_scores = choose_scores<V>(layout.types.k);
  const PageStep<V> run_values = choose_values<V>(layout.types.v);
  for (size_t p = first; p < pages; ++p) {
    if (!visible_slots<V>(t, tile, p)) continue;
    const auto page = static_cast<size_t>(tile.pages[p]);
    const auto next = static_cast<size_t>(tile.pages[p + 1 < pages ? p + 1 : p]);
    prefetch_page<V>(tile.k + next * tile.k_page_bytes, k_bytes);
    run_scores(t, tile, tile.k + page * tile.k_page_bytes);
    for (size_t r = 0; r < rows; ++r) {
      if (t.hi[r] > t.lo[r]) softmax_row<V>(t, r, tile);
    }
    prefetch_page<V>(tile.v + next * tile.v_page_bytes, v_bytes);
    run_values(t, tile, tile.v + page * tile.v_page_bytes);
  }
  store_outputs<V>(t, tile);
}

}  // namespace weir::kernels::generic
