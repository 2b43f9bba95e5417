// Architecture = data: one row per GGUF `general.architecture`. The forward pass reads the row; a
// new architecture that fits the description is a row here, not a file. A row counts only with a
// fixture in tests/golden/architectures that proves its logits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/ops.h"

namespace weir::model {

enum class RopeKind {
  kInterleaved,  // pairs (2i, 2i+1): ggml's "norm", as the llama conversion permutes q and k
  kHalves,       // pairs (i, i + n/2): ggml's "neox"
  kNone,         // positions are not rotated in
};

enum class BiasRule {
  kOptional,  // used when the file has it
  kRequired,  // missing is an error
  kNone,      // present is an error: the file is not what it says
};

enum class NormKind {
  kRms,
  kLayer,  // the mean is removed; with a bias where the file has one
};

enum class QkNorm {
  kNone,
  kHead,  // RMS norm over each head of q and k before RoPE
  kRow,   // RMS norm over the whole row of q, and of k, before RoPE
};

// Where the norms of a layer stand.
enum class BlockKind {
  kPreNorm,    // x += attention(norm(x)); x += ffn(norm(x))
  kSandwich,   // x += norm(attention(norm(x))); x += norm(ffn(norm(x)))
  kPostNorm,   // x += norm(attention(x)); x += norm(ffn(x))
  kParallel,   // h = norm(x); x += attention(h) + ffn(h)
  kNormAfter,  // x = norm(x + attention(x)); x = norm(x + ffn(x))
};

// How router logits become expert weights.
enum class Routing {
  kSoftmax,              // softmax over all experts, the greatest are used
  kSoftmaxRenormalized,  // the same, the used weights divided by their sum
  kTopSoftmax,           // the greatest logits, softmax over them
  kSigmoid,              // sigmoid of each, the greatest are used
  kSigmoidRenormalized,  // the same, the used weights divided by their sum
};

struct Architecture {
  std::string_view name;  // value of general.architecture and prefix of its keys
  RopeKind rope = RopeKind::kInterleaved;
  BiasRule qkv_bias = BiasRule::kOptional;
  QkNorm qk_norm = QkNorm::kNone;
  NormKind norm = NormKind::kRms;
  BlockKind block = BlockKind::kPreNorm;
  kernels::Activation activation = kernels::Activation::kSilu;
  Routing routing = Routing::kSoftmaxRenormalized;
  bool routing_keys = false;               // the file says how, with groups and a scale
  bool latent_attention = false;           // model/mla.h
  std::string_view ffn_norm = "ffn_norm";  // tensor of the norm before the feed-forward part
  bool scale_embedding = false;            // by sqrt(dim)
  bool learned_positions = false;          // position_embd.weight is added to the embedding
  // BERT's: every token sees the whole text, token_types.weight row 0 and token_embd_norm go over
  // the embedding, and there is no head: what comes out are hidden states, to be pooled.
  bool encoder = false;
  bool sinks = false;          // attn_sinks.weight
  bool divide_logits = false;  // the key logit_scale divides (else it multiplies)
  bool yarn_truncate = true;   // YaRN's correction range is cut to whole dimensions
  int32_t full_every = 0;      // with a window: every n-th layer sees all (0: none does)
  int32_t no_rope_every = 0;   // every n-th layer does not rotate (0: all do)
  int32_t default_window = 0;
  double window_rope_base = 0.0;  // RoPE base of windowed layers, unscaled (0: as the others)
  // The one published size whose attention is scaled by sqrt(dim / heads), not sqrt(head_dim).
  int32_t wide_scale_layers = 0;
};

// All rows, in the order they are listed to users.
std::span<const Architecture> architectures();

// nullptr when unknown.
const Architecture* find_architecture(std::string_view name);

// "llama, qwen2, qwen3", for messages.
std::string known_architectures();

}  // namespace weir::model
