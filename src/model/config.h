// The shape of a model, read from GGUF metadata and checked: every number that sizes a buffer is
// bounded here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/kv_type.h"
#include "model/architecture.h"
#include "model/pooling.h"
#include "model/router.h"

namespace weir::model {

enum class RopeScaling { kNone, kLinear, kYarn };

struct RopeConfig {
  int32_t dims = 0;  // leading dimensions of a head that rotate; even, at most head_dim
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;                  // context extension factor, at least 1
  int32_t original_context_tokens = 0;  // trained window before scaling
  double attention_factor = 1.0;
  double yarn_beta_fast = 32.0;
  double yarn_beta_slow = 1.0;
  bool yarn_truncate = true;  // the correction range is cut to whole dimensions
};

// Mixture of experts; experts == 0: dense.
struct ExpertConfig {
  int32_t experts = 0;
  int32_t used = 0;            // per token, at most `experts`
  int32_t ffn_dim = 0;         // of one expert
  int32_t shared_ffn_dim = 0;  // of the expert that every token takes; 0: none
  RouteRule route;
};

// Multi-head latent attention (model/mla.h); kv_rank == 0: none.
struct LatentConfig {
  int32_t q_rank = 0;     // queries are projected through it; 0: directly
  int32_t kv_rank = 0;    // of the latent that is kept of a token
  int32_t plain_dim = 0;  // of a query head that is not rotated; RopeConfig::dims more are
  int32_t value_dim = 0;  // of a head, expanded
};

struct Config {
  const Architecture* arch = nullptr;
  std::string name;  // general.name, may be empty
  int32_t layers = 0;
  int32_t dim = 0;  // width of the residual stream
  int32_t ffn_dim = 0;
  int32_t heads = 0;      // query heads
  int32_t kv_heads = 0;   // divides heads
  int32_t head_dim = 0;   // of a query and a key
  int32_t value_dim = 0;  // of a value
  LatentConfig latent;
  int32_t vocab_size = 0;
  int32_t context_tokens = 0;  // trained window, after scaling
  float norm_epsilon = 1e-5F;
  RopeConfig rope;
  RopeConfig window_rope;          // of the layers with a window
  int32_t window = 0;              // tokens a windowed layer sees; 0: no layer has a window
  float attention_scale = 0.0F;    // of q·k
  float attention_softcap = 0.0F;  // 0: none
  float logit_softcap = 0.0F;      // 0: none
  float logit_scale = 1.0F;        // logits are multiplied by it, before the softcap
  float embedding_scale = 1.0F;
  float residual_scale = 1.0F;  // of what attention and feed-forward add
  ExpertConfig expert;
  std::string rotations;  // of weir.rotation.rotations: the basis that the file is in; or empty
  std::optional<Pooling> pooling;  // how hidden states become an embedding, where the file says it

  bool windowed(int32_t layer) const {
    return window > 0 &&
           (arch->full_every == 0 || layer % arch->full_every != arch->full_every - 1);
  }
  bool rotates(int32_t layer) const {
    return arch->rope != RopeKind::kNone &&
           (arch->no_rope_every == 0 || (layer + 1) % arch->no_rope_every != 0);
  }
  int32_t q_dim() const { return heads * head_dim; }
  int32_t kv_dim() const { return kv_heads * head_dim; }
  // What attention gives to its output projection.
  int32_t attention_dim() const {
    return heads * (latent.kv_rank > 0 ? latent.value_dim : value_dim);
  }
  // K and V of one token over all layers.
  uint64_t kv_bytes_per_token(kernels::KvTypes types) const {
    const uint64_t head = kernels::kv_row_bytes(types.k, static_cast<size_t>(head_dim)) +
                          kernels::kv_row_bytes(types.v, static_cast<size_t>(value_dim));
    return static_cast<uint64_t>(layers) * static_cast<uint64_t>(kv_heads) * head;
  }
};

// Errors: kUnsupported for an architecture or feature weir does not know (with the known ones),
// kCorrupt for missing, mistyped or out-of-range keys; each names the key and its bound.
Result<Config> read_config(const gguf::File& file);

}  // namespace weir::model
