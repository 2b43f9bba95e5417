// Multi-head latent attention in its absorbed form: of a token only one latent [kv_rank] and one
// rotated key [rope dims] are kept, shared by all heads. A query head is taken through its part of
// the key expansion (absorb) and then meets latents as if they were keys; what attention mixes is
// latents, which each head expands to its values. Attention itself is that of one KV head with keys
// [latent | rotated] and the latent as value. Source: DeepSeek-AI 2024 (DeepSeek-V2, section 2.1
// and appendix C).
#pragma once

#include "kernels/kernels.h"
#include "kernels/thread_pool.h"
#include "model/config.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace weir::model {

// From the normed rows in space.activations, with space.cos and sin of their positions: queries to
// space.q [tokens, heads, kv_rank + rope dims], keys to space.k [tokens, kv_rank + rope dims],
// whose first kv_rank values are the value as well.
void project_latent(const kernels::Kernels& kernels, kernels::ThreadPool& pool,
                    const Config& config, const LatentWeights& weights, Workspace& space,
                    size_t tokens);

// space.attention [tokens, heads, value_dim] from the mixed latents in space.latent.mixed [tokens,
// heads, kv_rank].
void expand_latent(const kernels::Kernels& kernels, kernels::ThreadPool& pool, const Config& config,
                   const LatentWeights& weights, Workspace& space, size_t tokens);

}  // namespace weir::model
