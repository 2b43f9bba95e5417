// Attention over paged keys and values, causal or over the whole text. Online softmax over blocks
// of kSoftmaxBlockTokens keys, which are aligned to absolute position; the arithmetic of a query
// row depends on that row, its position and its keys alone (invariant "same bits"), and slots that
// a row must not see are never multiplied in. Sources: Dao et al. 2022 (FlashAttention); Kwon et
// al. 2023 (PagedAttention).
//
// store_kv and attention are called by the owner of the thread pool; all pointers are borrowed for
// the call. Neither checks its arguments: they come from the model, not from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "kernels/kv_type.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

inline constexpr size_t kMaxHeadDim = 576;  // latent attention of DeepSeek: 512 + 64
// A multiple of every page size, so that results do not depend on the page size.
inline constexpr size_t kSoftmaxBlockTokens = 64;

// Per layer there is a K pool and a V pool of pages (KvPools).
//   K page: [kv_heads] of [head_dim][page_tokens], so a vector covers keys. Block types: for each
//     block of 32 dimensions [page_tokens] scales in f16, then codes: q8_0 [32][page_tokens] int8;
//     q4_0 [16][page_tokens] bytes, dimensions d (low) and d + 16 (high), code + 8.
//   V page: [kv_heads][page_tokens] of [value_dim]. Block types: [value_dim / 32] blocks of ggml.
// Block types hold keys and values of a head behind an orthonormal Walsh-Hadamard transform H over
// blocks of the largest power of two that divides the width: what stands out in few dimensions is
// spread over all, and the scales of the blocks shrink with it. H is symmetric and its own inverse,
// so q·k = (Hq)·(Hk), and sum p v = H sum p (Hv): attention() transforms queries and outputs, and
// nothing else knows of it. Which positions a row sees, sinks and soft caps enter through scores
// alone. Source: Ashkboos et al. 2024 (QuaRot), without random signs.
// page_tokens: 16, 32 or 64. head_dim, value_dim: multiples of 16, at most kMaxHeadDim; of 32 for
// block types (check_kv_types).
struct KvLayout {
  size_t page_tokens = 32;
  size_t kv_heads = 0;
  size_t head_dim = 0;   // of a query and a key
  size_t value_dim = 0;  // of a value and an output
  KvTypes types = {};

  // Of one KV head in a page.
  size_t k_head_bytes() const { return page_tokens * kv_row_bytes(types.k, head_dim); }
  size_t v_head_bytes() const { return page_tokens * kv_row_bytes(types.v, value_dim); }
  size_t k_page_bytes() const { return kv_heads * k_head_bytes(); }
  size_t v_page_bytes() const { return kv_heads * v_head_bytes(); }
};

// The two pools of one layer, aligned for 16-bit words. Borrowed. Page p starts p strides behind k
// and v.
struct KvPools {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  // Bytes from a page to the next, in both pools: pages of all layers may lie together. 0: the
  // pages of a pool follow each other, at k_page_bytes() and v_page_bytes().
  size_t page_stride_bytes = 0;

  size_t k_stride(const KvLayout& layout) const {
    return page_stride_bytes > 0 ? page_stride_bytes : layout.k_page_bytes();
  }
  size_t v_stride(const KvLayout& layout) const {
    return page_stride_bytes > 0 ? page_stride_bytes : layout.v_page_bytes();
  }
};

// A run of consecutive tokens of one sequence; its rows in q, k, v and out begin at first_row.
struct AttentionChunk {
  size_t first_row = 0;
  size_t tokens = 0;
  size_t position = 0;             // absolute, of the first token
  std::span<const int32_t> pages;  // of the sequence from position 0; cover position + tokens
};

// Rounds the keys and values of all chunks to the types of the layout into their pages: to nearest
// even for f16 and bf16, else transformed (KvLayout) and as quant/blocks.h does. What is stored of
// a token depends on that token alone. A block type's head with a value that is not finite has
// blocks that read as NaN. k: [rows, kv_heads * head_dim] f32, row r at k + r * ldk; v: [rows,
// kv_heads * value_dim], row r at v + r * ldv; they may overlap. Keys carry their rotation already.
void store_kv(const Kernels& kernels, ThreadPool& pool, const KvLayout& layout,
              const KvPools& pools, std::span<const AttentionChunk> chunks, const float* k,
              size_t ldk, const float* v, size_t ldv);

struct AttentionParams {
  KvLayout layout;
  size_t heads = 0;      // query heads, a multiple of layout.kv_heads
  float scale = 1.0F;    // usually 1 / sqrt(head_dim)
  float softcap = 0.0F;  // > 0: scores become softcap * tanh(score / softcap)
  size_t window = 0;     // > 0: a token sees itself and the window - 1 tokens before it
  // false: every token sees all keys up to the end of its chunk, later ones too (encoders);
  // window must be 0 then.
  bool causal = true;
  // [heads] or nullptr: a score beside the keys' that takes its share of the softmax and adds no
  // value (Xiao et al. 2023, attention sinks, as gpt-oss learns them).
  const float* sinks = nullptr;
};

// q: [rows, heads * head_dim] f32 at q + r * ldq; out: [rows, heads * value_dim] at out + r * ldo.
// Keys and values of the chunks' own tokens must be stored already. One parallel region over
// (chunk, KV head, tile of tokens).
void attention(const Kernels& kernels, ThreadPool& pool, const AttentionParams& params,
               const KvPools& pools, std::span<const AttentionChunk> chunks, const float* q,
               size_t ldq, float* out, size_t ldo);

}  // namespace weir::kernels
