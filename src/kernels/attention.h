// Causal attention over paged keys and values in f16. Online softmax over blocks of one page, which
// are aligned to absolute position; the arithmetic of a query row depends on that row, its position
// and its keys alone (invariant "same bits"), and slots that a row must not see are never
// multiplied in. Source: Dao et al. 2022 (FlashAttention); Kwon et al. 2023 (PagedAttention); page
// layout: DESIGN section 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

inline constexpr size_t kMaxHeadDim = 512;
inline constexpr size_t kMaxPageTokens = 64;

// Per layer there is a K pool and a V pool of f16 pages; page p starts at element p *
// page_elements().
//   K page: [kv_heads][head_dim][page_tokens], so a vector covers keys.
//   V page: [kv_heads][page_tokens][head_dim].
// page_tokens: 16, 32 or 64. head_dim: a multiple of 16, at most kMaxHeadDim.
struct KvLayout {
  size_t page_tokens = 32;
  size_t kv_heads = 0;
  size_t head_dim = 0;

  size_t page_elements() const { return page_tokens * kv_heads * head_dim; }
};

// The two pools of one layer; f16 bits. Borrowed.
struct KvPools {
  uint16_t* k = nullptr;
  uint16_t* v = nullptr;
};

// A run of consecutive tokens of one sequence; its rows in q, k, v and out begin at first_row.
struct AttentionChunk {
  size_t first_row = 0;
  size_t tokens = 0;
  size_t position = 0;  // absolute, of the first token
  std::span<const int32_t>
      pages;  // page ids of the sequence from position 0; cover position + tokens
};

// Rounds the keys and values of all chunks to f16 (nearest even) into their pages.
// k, v: [rows, kv_heads * head_dim] f32, row r at k + r * ldk and v + r * ldv. Keys carry their
// rotation already.
void store_kv(const Kernels& kernels, ThreadPool& pool, const KvLayout& layout,
              const KvPools& pools, std::span<const AttentionChunk> chunks, const float* k,
              size_t ldk, const float* v, size_t ldv);

struct AttentionParams {
  KvLayout layout;
  size_t heads = 0;      // query heads, a multiple of layout.kv_heads
  float scale = 1.0F;    // usually 1 / sqrt(head_dim)
  float softcap = 0.0F;  // > 0: scores become softcap * tanh(score / softcap)
  size_t window = 0;     // > 0: a token sees itself and the window - 1 tokens before it
  // [heads] or nullptr: a score beside the keys' that takes its share of the softmax and adds no
  // value (Xiao et al. 2023, attention sinks, as gpt-oss learns them).
  const float* sinks = nullptr;
};

// q: [rows, heads * head_dim] f32 at q + r * ldq; out: the same shape at out + r * ldo. Keys and
// values of the chunks' own tokens must be stored already. One parallel region over (chunk, KV
// head, tile of tokens).
void attention(const Kernels& kernels, ThreadPool& pool, const AttentionParams& params,
               const KvPools& pools, std::span<const AttentionChunk> chunks, const float* q,
               size_t ldq, float* out, size_t ldo);

}  // namespace weir::kernels
