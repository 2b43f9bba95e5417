// One attention tile over V: scores of all rows against a block of keys, online softmax, then the
// block's values.
#pragma once

#include "kernels/generic/hadamard.h"
#include "kernels/generic/kv_readers.h"
#include "kernels/generic/math.h"
#include "kernels/table.h"

namespace weir::kernels::generic {

// Floats between rows of queries and outputs: constant, so that rows stand at constant offsets, and
// not a multiple of a cache way, so that the rows of a tile do not fall into the same sets.
inline constexpr size_t kRowStride = kMaxHeadDim + 16;

// Rows up to whole vectors of any width.
inline constexpr size_t kPaddedRows = (kMaxTileRows + 15) / 16 * 16;

template <typename V>
struct TileState {
  float q[kMaxTileRows * kRowStride];           // [rows][head_dim], scaled
  float s[kMaxTileRows * kSoftmaxBlockTokens];  // scores, then probabilities
  float out[kMaxTileRows * kRowStride];         // [rows][value_dim], unnormalised
  V sum[kMaxTileRows];                          // of probabilities, per lane
  float top[kPaddedRows];                       // running maximum
  float block_top[kPaddedRows];                 // of the current block
  float shrink[kPaddedRows];                    // what the block's maximum does to earlier sums
  size_t lo[kMaxTileRows];                      // visible slots of the current block
  size_t hi[kMaxTileRows];
};

// The slots of a block that some row sees.
struct BlockView {
  size_t lo = kSoftmaxBlockTokens;
  size_t hi = 0;
  bool whole = false;  // every row sees every slot, and scores stay as they are
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
    for (size_t c = 0; c < C; ++c) acc[r][c].store(s + r * kSoftmaxBlockTokens + c * V::kWidth);
  }
}

// out[r] += sum over slots j in [lo, hi) of s[r][j] * v[j], for R rows and C vectors of dimensions.
// v: the page's rows of row_bytes each; d: the first dimension.
template <typename V, KvType T, size_t R, size_t C>
void values(const float* s, PageView v, size_t row_bytes, size_t d, size_t lo, size_t hi,
            float* out) {
  V acc[R][C];
#pragma GCC unroll 12
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) acc[r][c] = V::load(out + r * kRowStride + c * V::kWidth);
  }
  for (size_t j = lo; j < hi; ++j) {
    const std::byte* row = v.data + j * row_bytes;
    __builtin_prefetch(row + v.ahead + value_row_bytes<V, T>(d), 0, 2);
    V value[C];
#pragma GCC unroll 4
    for (size_t c = 0; c < C; ++c) value[c] = load_value<V, T>(row, d + c * V::kWidth);
#pragma GCC unroll 12
    for (size_t r = 0; r < R; ++r) {
      const V p = V::set(s[r * kSoftmaxBlockTokens + j]);
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
void scores_rows(size_t rows, const float* q, PageView k, size_t head_dim, size_t page_tokens,
                 float* s) {
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
void values_rows(size_t rows, const float* s, PageView v, size_t value_dim, size_t lo, size_t hi,
                 float* out) {
  if constexpr (R > 1) {
    if (rows < R) return values_rows<V, T, R - 1>(rows, s, v, value_dim, lo, hi, out);
  }
  constexpr size_t wide = V::kWidth * V::kTileVecs;
  const size_t row_bytes = value_row_bytes<V, T>(value_dim);
  size_t d = 0;
  for (; d + wide <= value_dim; d += wide)
    values<V, T, R, V::kTileVecs>(s, v, row_bytes, d, lo, hi, out + d);
  for (; d < value_dim; d += V::kWidth) values<V, T, R, 1>(s, v, row_bytes, d, lo, hi, out + d);
}

// Scores of all rows of the tile against one page of keys, which begins at `slot` of the block.
template <typename V, KvType T>
void page_scores(TileState<V>& t, const AttentionTile& tile, PageView k, size_t slot) {
  const size_t rows = tile.tokens * tile.group;
  for (size_t r = 0; r < rows; r += V::kTileRows) {
    const size_t n = rows - r < V::kTileRows ? rows - r : V::kTileRows;
    scores_rows<V, T, V::kTileRows>(n, t.q + r * kRowStride, k, tile.layout.head_dim,
                                    tile.layout.page_tokens, t.s + r * kSoftmaxBlockTokens + slot);
  }
}

// The slots of a page that a row sees.
struct SlotRange {
  size_t lo, hi;
};

// values() for `rows` rows from row r, in register tiles; every row of them sees `range` of the
// page that begins at `slot` of the block.
template <typename V, KvType T>
void add_values(TileState<V>& t, size_t r, size_t rows, PageView v, size_t value_dim, size_t slot,
                SlotRange range) {
  if (range.lo >= range.hi) return;
  for (const size_t end = r + rows; r < end; r += V::kTileRows) {
    const size_t n = end - r < V::kTileRows ? end - r : V::kTileRows;
    values_rows<V, T, V::kTileRows>(n, t.s + r * kSoftmaxBlockTokens + slot, v, value_dim, range.lo,
                                    range.hi, t.out + r * kRowStride);
  }
}

// The greatest visible score of row r; with Masked, softcap is applied and what the row does not
// see becomes -inf.
template <typename V, bool Masked>
float row_top(TileState<V>& t, size_t r, const AttentionTile& tile, size_t slots) {
  float* s = t.s + r * kSoftmaxBlockTokens;
  V top = V::set(-__builtin_inff());
  for (size_t j = 0; j < slots; j += V::kWidth) {
    V x = V::load(s + j);
    if constexpr (Masked) {
      if (tile.softcap > 0.0F) x = tanh(x * V::set(1.0F / tile.softcap)) * V::set(tile.softcap);
      const size_t lo = t.lo[r] > j ? t.lo[r] - j : 0;
      const size_t hi = t.hi[r] > j ? t.hi[r] - j : 0;
      x = keep_lanes(x, lo < V::kWidth ? lo : V::kWidth, hi < V::kWidth ? hi : V::kWidth);
      x.store(s + j);
    }
    top = max(top, x);
  }
  return reduce_max(top);
}

// Turns the scores of a block into probabilities relative to the running maxima and rescales what
// the rows have so far. slots: whole vectors that cover what any row sees.
template <typename V, bool Masked>
void softmax_block(TileState<V>& t, const AttentionTile& tile, size_t slots) {
  const size_t rows = tile.tokens * tile.group;
  for (size_t r = 0; r < rows; ++r) {
    const bool sees = !Masked || t.hi[r] > t.lo[r];
    t.block_top[r] = sees ? row_top<V, Masked>(t, r, tile, slots) : t.top[r];
  }
  for (size_t r = 0; r < rows; r += V::kWidth) {
    const V before = V::load(t.top + r);
    const V after = max(before, V::load(t.block_top + r));  // a NaN of the block stays
    exp(before - after).store(t.shrink + r);
    after.store(t.top + r);
  }
  for (size_t r = 0; r < rows; ++r) {
    if (Masked && t.hi[r] <= t.lo[r]) continue;
    if (t.shrink[r] != 1.0F) {
      const V shrink = V::set(t.shrink[r]);
      t.sum[r] = t.sum[r] * shrink;
      float* out = t.out + r * kRowStride;
      for (size_t d = 0; d < tile.layout.value_dim; d += V::kWidth)
        (V::load(out + d) * shrink).store(out + d);
    }
    float* s = t.s + r * kSoftmaxBlockTokens;
    const V base = V::set(t.top[r]);
    V sum = t.sum[r];
    for (size_t j = 0; j < slots; j += V::kWidth) {
      const V p = exp(V::load(s + j) - base);
      p.store(s + j);
      sum = sum + p;
    }
    t.sum[r] = sum;
  }
}

// What row r sees of the page that begins at `slot` of the block.
template <typename V>
SlotRange page_slots(const TileState<V>& t, size_t r, size_t slot, size_t page_tokens) {
  const size_t lo = t.lo[r] > slot ? t.lo[r] - slot : 0;
  const size_t hi = t.hi[r] > slot ? t.hi[r] - slot : 0;
  return {lo, hi < page_tokens ? hi : page_tokens};
}

// The values of one page. Rows that see the same slots run together; a row's slots always come in
// ascending order.
template <typename V, KvType T>
void page_values(TileState<V>& t, const AttentionTile& tile, PageView v, size_t slot) {
  const size_t dim = tile.layout.value_dim;
  const size_t rows = tile.tokens * tile.group;
  const size_t n = tile.layout.page_tokens;
  size_t lo = 0;
  size_t hi = n;
  for (size_t r = 0; r < rows; r += tile.group) {
    const SlotRange sees = page_slots(t, r, slot, n);
    lo = sees.lo > lo ? sees.lo : lo;
    hi = sees.hi < hi ? sees.hi : hi;
  }
  if (lo >= hi) {
    for (size_t r = 0; r < rows; r += tile.group) {
      add_values<V, T>(t, r, tile.group, v, dim, slot, page_slots(t, r, slot, n));
    }
    return;
  }
  for (size_t r = 0; r < rows; r += tile.group)
    add_values<V, T>(t, r, tile.group, v, dim, slot, {page_slots(t, r, slot, n).lo, lo});
  add_values<V, T>(t, 0, rows, v, dim, slot, {lo, hi});
  for (size_t r = 0; r < rows; r += tile.group)
    add_values<V, T>(t, r, tile.group, v, dim, slot, {hi, page_slots(t, r, slot, n).hi});
}

template <typename V>
void load_queries(TileState<V>& t, const AttentionTile& tile) {
  const size_t hd = tile.layout.head_dim;
  for (size_t i = 0; i < tile.tokens; ++i) {
    for (size_t g = 0; g < tile.group; ++g) {
      const size_t r = i * tile.group + g;
      const float* q = tile.q + i * tile.ldq + g * hd;
      for (size_t d = 0; d < hd; d += V::kWidth)
        (V::load(q + d) * V::set(tile.scale)).store(t.q + r * kRowStride + d);
      if (tile.hadamard_keys) hadamard<V>(t.q + r * kRowStride, hd);
      for (size_t d = 0; d < tile.layout.value_dim; d += V::kWidth)
        V::zero().store(t.out + r * kRowStride + d);
      t.sum[r] = V::zero();
      t.top[r] = -__builtin_inff();
    }
  }
  for (size_t r = tile.tokens * tile.group; r < kPaddedRows; ++r) t.top[r] = t.block_top[r] = 0.0F;
}

template <typename V>
void store_outputs(const TileState<V>& t, const AttentionTile& tile) {
  const size_t dim = tile.layout.value_dim;
  for (size_t i = 0; i < tile.tokens; ++i) {
    for (size_t g = 0; g < tile.group; ++g) {
      const size_t r = i * tile.group + g;
      float total = reduce_add(t.sum[r]);
      if (tile.sinks != nullptr) total += reduce_max(exp(V::set(tile.sinks[g] - t.top[r])));
      const V scale = V::set(1.0F / total);
      float* out = tile.out + i * tile.ldo + g * dim;
      for (size_t d = 0; d < dim; d += V::kWidth) {
        (V::load(t.out + r * kRowStride + d) * scale).store(out + d);
      }
      if (tile.hadamard_values) hadamard<V>(out, dim);
    }
  }
}

// Sets the slots that each row sees of the block whose first key is `begin`.
template <typename V>
BlockView view_block(TileState<V>& t, const AttentionTile& tile, size_t begin) {
  constexpr size_t n = kSoftmaxBlockTokens;
  BlockView view;
  view.whole = tile.softcap <= 0.0F;
  for (size_t i = 0; i < tile.tokens; ++i) {
    // Keys [first_key, end_key).
    const size_t end_key = tile.keys > 0 ? tile.keys : tile.position + i + 1;
    const size_t first_key = tile.window > 0 && end_key > tile.window ? end_key - tile.window : 0;
    size_t lo = first_key > begin ? first_key - begin : 0;
    size_t hi = end_key > begin ? end_key - begin : 0;
    lo = lo < n ? lo : n;
    hi = hi < n ? hi : n;
    if (hi <= lo) lo = hi = 0;
    view.whole = view.whole && lo == 0 && hi == n;
    if (hi > lo) {
      view.lo = lo < view.lo ? lo : view.lo;
      view.hi = hi > view.hi ? hi : view.hi;
    }
    for (size_t g = 0; g < tile.group; ++g) {
      t.lo[i * tile.group + g] = lo;
      t.hi[i * tile.group + g] = hi;
    }
  }
  return view;
}

template <typename V>
using PageStep = void (*)(TileState<V>&, const AttentionTile&, PageView page, size_t slot);

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

// The pool of keys or of values as the tile reads it. A template for the sake of its functions
// (math.h).
template <typename V>
struct PageReader {
  const AttentionTile& tile;
  const std::byte* base;
  size_t stride_bytes;  // from page to page
  size_t pages;         // of the sequence that the tile reads
  const std::byte* then;

  // Page p with what is read `step` pages later: past the end of the sequence the next tile's first
  // page or, where that is unknown, nothing new.
  PageView at(size_t p, size_t step) const {
    const std::byte* now = address(p);
    const std::byte* later = then == nullptr ? now : then;
    if (p + step < pages) later = address(p + step);
    return {now, later - now};
  }

 private:
  const std::byte* address(size_t p) const {
    return base + static_cast<size_t>(tile.pages[p]) * stride_bytes;
  }
};

template <typename V>
void attend(const AttentionTile& tile) {
  alignas(64) TileState<V> t;
  load_queries<V>(t, tile);
  const KvLayout& layout = tile.layout;
  const size_t n = layout.page_tokens;
  const size_t per_block = kSoftmaxBlockTokens / n;
  const size_t keys = tile.keys > 0 ? tile.keys : tile.position + tile.tokens;
  const size_t pages = (keys + n - 1) / n;
  const size_t first = tile.window > 0 && tile.position + 1 > tile.window
                           ? (tile.position + 1 - tile.window) / kSoftmaxBlockTokens
                           : 0;
  const PageReader<V> k{tile, tile.k, tile.k_stride_bytes, pages, tile.then_k};
  const PageReader<V> v{tile, tile.v, tile.v_stride_bytes, pages, tile.then_v};
  const PageStep<V> run_scores = choose_scores<V>(layout.types.k);
  const PageStep<V> run_values = choose_values<V>(layout.types.v);
  for (size_t b = first; b * kSoftmaxBlockTokens < keys; ++b) {
    const BlockView view = view_block<V>(t, tile, b * kSoftmaxBlockTokens);
    if (view.hi == 0) continue;
    const size_t from = b * per_block + view.lo / n;
    const size_t to = b * per_block + (view.hi + n - 1) / n;
    for (size_t p = from; p < to; ++p)
      run_scores(t, tile, k.at(p, to - from), (p - b * per_block) * n);
    const size_t slots = (view.hi + V::kWidth - 1) / V::kWidth * V::kWidth;
    if (view.whole) {
      softmax_block<V, false>(t, tile, slots);
    } else {
      softmax_block<V, true>(t, tile, slots);
    }
    for (size_t p = from; p < to; ++p)
      run_values(t, tile, v.at(p, to - from), (p - b * per_block) * n);
  }
  store_outputs<V>(t, tile);
}

}  // namespace weir::kernels::generic
