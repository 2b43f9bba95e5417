#include "kernels/attention.h"

#include <algorithm>
#include <cstring>

#include "kernels/table.h"
#include "quant/half.h"

namespace weir::kernels {
namespace {

// Tasks below this many values are not worth a parallel region.
constexpr size_t kParallelValues = 16384;

size_t tile_tokens(size_t group) { return std::max<size_t>(1, kMaxTileRows / group); }

// Query heads of one KV head beyond kMaxTileRows run as several tiles.
struct Tiling {
  size_t group;        // query heads of a KV head
  size_t tile_group;   // of them in one tile
  size_t head_tiles;   // tiles per KV head
  size_t tile_tokens;  // tokens per tile

  explicit Tiling(size_t heads, size_t kv_heads) : group(heads / kv_heads) {
    head_tiles = (group + kMaxTileRows - 1) / kMaxTileRows;
    tile_group = (group + head_tiles - 1) / head_tiles;
    tile_tokens = kernels::tile_tokens(tile_group);
  }
  size_t token_tiles(size_t tokens) const { return (tokens + tile_tokens - 1) / tile_tokens; }
};

// The page at which a tile begins to read.
size_t first_page(const AttentionTile& t) {
  const size_t first = t.window > 0 && t.position + 1 > t.window ? t.position + 1 - t.window : 0;
  return first / t.layout.page_tokens;
}

uint16_t* as_words(std::byte* p) { return reinterpret_cast<uint16_t*>(p); }

void to_bf16(const float* x, size_t n, uint16_t* y, size_t stride) {
  for (size_t i = 0; i < n; ++i) y[i * stride] = quant::f32_to_bf16(x[i]);
}

// The keys or values of one token and head as blocks, transformed.
void encode_head(const Kernels& kernels, KvType type, const float* x, size_t dim, std::byte* row) {
  float transformed[kMaxHeadDim];
  std::copy_n(x, dim, transformed);
  kernels.hadamard(transformed, dim);
  kernels.encode_kv(type, transformed, dim, row);
}

// The keys of one token and head; head: the head's part of the page.
void store_key_blocks(const Kernels& kernels, const KvLayout& layout, const float* x, size_t slot,
                      std::byte* head) {
  const size_t bytes = kv_row_bytes(layout.types.k, kKvBlock);
  const size_t n = layout.page_tokens;
  std::byte row[kv_row_bytes(KvType::kQ8_0, kMaxHeadDim)];
  encode_head(kernels, layout.types.k, x, layout.head_dim, row);
  const std::byte* block = row;
  for (size_t d = 0; d < layout.head_dim; d += kKvBlock, block += bytes, head += n * bytes) {
    std::memcpy(head + slot * 2, block, 2);
    std::byte* codes = head + n * 2 + slot;
    for (size_t i = 2; i < bytes; ++i, codes += n) *codes = block[i];
  }
}

// The keys of one token into slot `slot` of its page.
void store_keys(const Kernels& kernels, const KvLayout& layout, const float* x, size_t slot,
                std::byte* page) {
  const size_t all = layout.kv_heads * layout.head_dim;
  if (layout.types.k == KvType::kF16)
    return kernels.to_f16(x, all, as_words(page) + slot, layout.page_tokens);
  if (layout.types.k == KvType::kBF16)
    return to_bf16(x, all, as_words(page) + slot, layout.page_tokens);
  for (size_t h = 0; h < layout.kv_heads; ++h, x += layout.head_dim)
    store_key_blocks(kernels, layout, x, slot, page + h * layout.k_head_bytes());
}

void store_values(const Kernels& kernels, const KvLayout& layout, const float* x, size_t slot,
                  std::byte* page) {
  const size_t dim = layout.value_dim;
  const size_t row_bytes = kv_row_bytes(layout.types.v, dim);
  for (size_t h = 0; h < layout.kv_heads; ++h, x += dim) {
    std::byte* row = page + (h * layout.page_tokens + slot) * row_bytes;
    if (layout.types.v == KvType::kF16) {
      kernels.to_f16(x, dim, as_words(row), 1);
    } else if (layout.types.v == KvType::kBF16) {
      to_bf16(x, dim, as_words(row), 1);
    } else {
      encode_head(kernels, layout.types.v, x, dim, row);
    }
  }
}

void store_rows(const Kernels& kernels, const KvLayout& layout, const KvPools& pools,
                const AttentionChunk& chunk, const float* k, size_t ldk, const float* v,
                size_t ldv) {
  for (size_t i = 0; i < chunk.tokens; ++i) {
    const size_t position = chunk.position + i;
    const size_t slot = position % layout.page_tokens;
    const auto page = static_cast<size_t>(chunk.pages[position / layout.page_tokens]);
    store_keys(kernels, layout, k + (chunk.first_row + i) * ldk, slot,
               pools.k + page * pools.k_stride(layout));
    store_values(kernels, layout, v + (chunk.first_row + i) * ldv, slot,
                 pools.v + page * pools.v_stride(layout));
  }
}

}  // namespace

void store_kv(const Kernels& kernels, ThreadPool& pool, const KvLayout& layout,
              const KvPools& pools, std::span<const AttentionChunk> chunks, const float* k,
              size_t ldk, const float* v, size_t ldv) {
  size_t rows = 0;
  for (const AttentionChunk& chunk : chunks) rows += chunk.tokens;
  if (rows * layout.kv_heads * layout.head_dim < kParallelValues) {
    for (const AttentionChunk& chunk : chunks)
      store_rows(kernels, layout, pools, chunk, k, ldk, v, ldv);
    return;
  }
  // A task is a page of a chunk, so that no two workers write one line.
  const auto pages_of = [&](const AttentionChunk& c) {
    return c.tokens == 0 ? 0
                         : (c.position + c.tokens - 1) / layout.page_tokens -
                               c.position / layout.page_tokens + 1;
  };
  size_t tasks = 0;
  for (const AttentionChunk& chunk : chunks) tasks += pages_of(chunk);
  pool.parallel_for(tasks, [&](size_t task, size_t) {
    for (const AttentionChunk& c : chunks) {
      const size_t n = pages_of(c);
      if (task >= n) {
        task -= n;
        continue;
      }
      const size_t page = c.position / layout.page_tokens + task;
      const size_t begin = std::max(c.position, page * layout.page_tokens);
      const size_t end = std::min(c.position + c.tokens, (page + 1) * layout.page_tokens);
      const AttentionChunk part{c.first_row + begin - c.position, end - begin, begin, c.pages};
      store_rows(kernels, layout, pools, part, k, ldk, v, ldv);
      return;
    }
  });
}

namespace {

// The tiles of a call, in the order in which workers claim them.
struct TileList {
  const AttentionParams& params;
  const KvPools& pools;
  std::span<const AttentionChunk> chunks;
  const float* q;
  size_t ldq;
  float* out;
  size_t ldo;
  Tiling tiling{params.heads, params.layout.kv_heads};
  size_t lanes = params.layout.kv_heads * tiling.head_tiles;  // independent head groups of a token

  size_t of_chunk(const AttentionChunk& c) const { return tiling.token_tiles(c.tokens) * lanes; }

  size_t size() const {
    size_t n = 0;
    for (const AttentionChunk& c : chunks) n += of_chunk(c);
    return n;
  }

  // i < size().
  AttentionTile at(size_t i) const {
    size_t c = 0;
    for (; i >= of_chunk(chunks[c]); ++c) i -= of_chunk(chunks[c]);
    return tile(chunks[c], i);
  }

 private:
  AttentionTile tile(const AttentionChunk& c, size_t i) const {
    const KvLayout& layout = params.layout;
    // Later tokens see more keys: the long tasks first, so that the workers end together.
    const size_t token = (tiling.token_tiles(c.tokens) - 1 - i / lanes) * tiling.tile_tokens;
    const size_t kv_head = i % lanes / tiling.head_tiles;
    const size_t first_head = i % tiling.head_tiles * tiling.tile_group;
    const size_t head = kv_head * tiling.group + first_head;
    AttentionTile tile;
    tile.layout = layout;
    tile.k = pools.k + kv_head * layout.k_head_bytes();
    tile.v = pools.v + kv_head * layout.v_head_bytes();
    tile.k_stride_bytes = pools.k_stride(layout);
    tile.v_stride_bytes = pools.v_stride(layout);
    tile.pages = c.pages.data();
    tile.position = c.position + token;
    tile.tokens = std::min(tiling.tile_tokens, c.tokens - token);
    tile.group = std::min(tiling.tile_group, tiling.group - first_head);
    tile.scale = params.scale;
    tile.softcap = params.softcap;
    tile.window = params.window;
    tile.keys = params.causal ? 0 : c.position + c.tokens;
    tile.sinks = params.sinks == nullptr ? nullptr : params.sinks + head;
    tile.hadamard_keys = is_block_type(layout.types.k);
    tile.hadamard_values = is_block_type(layout.types.v);
    tile.q = q + (c.first_row + token) * ldq + head * layout.head_dim;
    tile.ldq = ldq;
    tile.out = out + (c.first_row + token) * ldo + head * layout.value_dim;
    tile.ldo = ldo;
    return tile;
  }
};

}  // namespace

void attention(const Kernels& kernels, ThreadPool& pool, const AttentionParams& params,
               const KvPools& pools, std::span<const AttentionChunk> chunks, const float* q,
               size_t ldq, float* out, size_t ldo) {
  const TileList tiles{params, pools, chunks, q, ldq, out, ldo};
  const size_t count = tiles.size();
  pool.parallel_for(count, [&](size_t task, size_t) {
    AttentionTile tile = tiles.at(task);
    // Workers claim tiles in turn.
    if (const size_t next = task + pool.threads(); next < count && tile.tokens == 1) {
      const AttentionTile then = tiles.at(next);
      const auto page = static_cast<size_t>(then.pages[first_page(then)]);
      tile.then_k = then.k + page * then.k_stride_bytes;
      tile.then_v = then.v + page * then.v_stride_bytes;
    }
    kernels.attend(tile);
  });
}

}  // namespace weir::kernels
