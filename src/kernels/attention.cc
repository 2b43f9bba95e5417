#include "kernels/attention.h"

#include <algorithm>

#include "kernels/table.h"

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

void store_rows(const Kernels& kernels, const KvLayout& layout, const KvPools& pools,
                const AttentionChunk& chunk, const float* k, size_t ldk, const float* v,
                size_t ldv) {
  const size_t hd = layout.head_dim;
  for (size_t i = 0; i < chunk.tokens; ++i) {
    const size_t position = chunk.position + i;
    const size_t slot = position % layout.page_tokens;
    const size_t page =
        static_cast<size_t>(chunk.pages[position / layout.page_tokens]) * layout.page_elements();
    const float* k_row = k + (chunk.first_row + i) * ldk;
    const float* v_row = v + (chunk.first_row + i) * ldv;
    kernels.to_f16(k_row, layout.kv_heads * hd, pools.k + page + slot, layout.page_tokens);
    for (size_t h = 0; h < layout.kv_heads; ++h) {
      kernels.to_f16(v_row + h * hd, hd, pools.v + page + (h * layout.page_tokens + slot) * hd, 1);
    }
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

void attention(const Kernels& kernels, ThreadPool& pool, const AttentionParams& params,
               const KvPools& pools, std::span<const AttentionChunk> chunks, const float* q,
               size_t ldq, float* out, size_t ldo) {
  const KvLayout& layout = params.layout;
  const Tiling tiling(params.heads, layout.kv_heads);
  const size_t lanes =
      layout.kv_heads * tiling.head_tiles;  // independent head groups of a token tile
  size_t tasks = 0;
  for (const AttentionChunk& c : chunks) tasks += tiling.token_tiles(c.tokens) * lanes;
  pool.parallel_for(tasks, [&](size_t task, size_t) {
    for (const AttentionChunk& c : chunks) {
      const size_t own = tiling.token_tiles(c.tokens) * lanes;
      if (task >= own) {
        task -= own;
        continue;
      }
      // Later tokens see more keys: the long tasks first, so that the workers end together.
      const size_t token = (tiling.token_tiles(c.tokens) - 1 - task / lanes) * tiling.tile_tokens;
      const size_t kv_head = task % lanes / tiling.head_tiles;
      const size_t first_head = task % tiling.head_tiles * tiling.tile_group;
      const size_t head = kv_head * tiling.group + first_head;
      AttentionTile tile;
      tile.layout = layout;
      tile.k = pools.k + kv_head * layout.head_dim * layout.page_tokens;
      tile.v = pools.v + kv_head * layout.head_dim * layout.page_tokens;
      tile.pages = c.pages.data();
      tile.position = c.position + token;
      tile.tokens = std::min(tiling.tile_tokens, c.tokens - token);
      tile.group = std::min(tiling.tile_group, tiling.group - first_head);
      tile.scale = params.scale;
      tile.softcap = params.softcap;
      tile.window = params.window;
      tile.sinks = params.sinks == nullptr ? nullptr : params.sinks + head;
      tile.q = q + (c.first_row + token) * ldq + head * layout.head_dim;
      tile.ldq = ldq;
      tile.out = out + (c.first_row + token) * ldo + head * layout.head_dim;
      tile.ldo = ldo;
      kernels.attend(tile);
      return;
    }
  });
}

}  // namespace weir::kernels
