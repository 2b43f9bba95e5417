// The tensors of a model in the form the kernels read: matrices repacked into panels, vectors in
// f32.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/isa.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"
#include "model/config.h"

namespace weir::model {

// Matrices are logical [out, in]; y = W·x. Bias vectors are empty where the model has none.
struct NormWeights {
  std::vector<float> weight;  // empty: no norm here
  std::vector<float> bias;    // or empty

  bool empty() const { return weight.empty(); }
};

struct FeedForward {
  kernels::PackedMatrix gate;  // [ffn_dim, dim], or empty: the activation is applied to up
  kernels::PackedMatrix up;    // [ffn_dim, dim]
  kernels::PackedMatrix down;  // [dim, ffn_dim]
  std::vector<float> gate_bias, up_bias, down_bias;
};

struct ExpertWeights {
  std::vector<float> router;       // [experts, dim]
  std::vector<float> router_bias;  // [experts], or empty
  std::vector<float> choice_bias;  // [experts], of route(); or empty
  std::vector<FeedForward> experts;
  FeedForward shared;              // its up is empty where there is none
  std::vector<float> shared_gate;  // [dim]: sigmoid(shared_gate·x) weighs it; or empty

  bool empty() const { return experts.empty(); }
};

// Of multi-head latent attention (model/mla.h).
struct LatentWeights {
  kernels::PackedMatrix q_a;                  // [q_rank, dim], or empty
  std::vector<float> q_a_norm;                // [q_rank], or empty
  kernels::PackedMatrix q;                    // [heads * (plain_dim + rope dims), q_rank or dim]
  kernels::PackedMatrix kv_a;                 // [kv_rank + rope dims, dim]
  std::vector<float> kv_a_norm;               // [kv_rank]
  std::vector<kernels::PackedMatrix> absorb;  // [heads] of [kv_rank, plain_dim]
  std::vector<kernels::PackedMatrix> expand;  // [heads] of [value_dim, kv_rank]
};

struct LayerWeights {
  NormWeights attn_norm, attn_post_norm, ffn_norm, ffn_post_norm;  // [dim]
  std::vector<float> q_norm;  // [head_dim] or [q_dim], or empty
  std::vector<float> k_norm;  // [head_dim] or [kv_dim], or empty
  kernels::PackedMatrix q;    // [q_dim, dim]
  kernels::PackedMatrix k;    // [kv_dim, dim]
  kernels::PackedMatrix v;    // [kv_dim, dim]
  LatentWeights latent;       // in place of q, k and v where the architecture has it
  kernels::PackedMatrix o;    // [dim, attention_dim]
  std::vector<float> q_bias, k_bias, v_bias, o_bias;
  std::vector<float> sinks;  // [heads], or empty
  FeedForward ffn;           // dense layers
  ExpertWeights experts;     // the others
};

struct Weights {
  kernels::BufferArena arena;  // of all packed matrices
  // In the file's mapping; rows are decoded as needed.
  const gguf::Tensor* embedding = nullptr;  // [vocab, dim]
  const gguf::Tensor* positions = nullptr;  // [context, dim], or nullptr
  std::vector<LayerWeights> layers;
  std::vector<float> token_type;  // [dim] of the first segment, or empty
  NormWeights embedding_norm;     // [dim], or empty
  // Empty in an encoder.
  NormWeights output_norm;          // [dim]
  kernels::PackedMatrix output;     // [vocab, dim]; from the embedding when tied
  std::vector<float> rope_factors;  // [rope dims / 2], or empty
  uint64_t packed_bytes = 0;        // of all matrices
};

// context_tokens: how far positions will go; chooses between the long and short factors of models
// that have both. Checks every tensor's presence, shape, type and finiteness (a matrix's as it is
// packed). `file` must outlive the result, and the caller owns the pool. progress(tensors done,
// all), on the calling thread. Errors: kCorrupt (missing tensor, wrong shape, NaN or infinity),
// kUnsupported (tensor type without a kernel), kOutOfMemory, each naming the tensor. What is packed
// is released from `file`.
struct WeightOptions {
  kernels::Isa isa = kernels::Isa::kScalar;
  int32_t context_tokens = 0;                             // 0: the trained window
  std::function<void(size_t done, size_t all)> progress;  // or empty
  std::function<void()> beside;  // as in kernels::PackOptions, while the output matrix is packed
};
Result<Weights> load_weights(const gguf::File& file, const Config& config,
                             kernels::ThreadPool& pool, const WeightOptions& options);

}  // namespace weir::model
