// What of a model decides its size and speed, from a published config.json (its keys as they stand,
// of some thirty families) or from a GGUF file. Parameters are counted in the groups that
// parallelism splits differently.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "text/json.h"

namespace weir::ops {

// How a layer mixes tokens, and so what it keeps of each.
enum class Mixer : uint8_t {
  kFull,    // attention over all tokens
  kWindow,  // attention over the last `window` tokens
  kState,   // a state of fixed size (Mamba, linear attention, short convolution)
  kNone,    // a feed-forward part alone
};

struct ModelLayer {
  Mixer mixer = Mixer::kFull;
  bool also_state = false;  // beside attention, in parallel (Falcon H1)
  bool experts = false;     // the feed-forward part is a mixture of experts
  bool feed_forward = true;
};

struct ModelShape {
  std::string name;          // may be empty
  std::string architecture;  // model_type
  int64_t hidden = 0;
  int64_t vocabulary = 0;
  bool tied = false;  // the output matrix is the embedding
  int64_t context_tokens = 0;
  std::vector<ModelLayer> layers;

  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t value_dim = 0;  // of a head
  int64_t window = 0;     // tokens, of kWindow layers

  // Multi-head latent attention; kv_rank == 0: none.
  int64_t kv_rank = 0;
  int64_t q_rank = 0;    // 0: queries are projected directly
  int64_t rope_dim = 0;  // kept of a token beside the latent

  int64_t ffn = 0;           // of a dense layer
  int64_t ffn_matrices = 3;  // gate, up, down; 2: no gate
  int64_t experts = 0;
  int64_t used_experts = 0;  // of each token
  int64_t expert_ffn = 0;
  int64_t expert_hidden = 0;  // what experts read and write, narrower than `hidden`; 0: that
  int64_t shared_ffn = 0;     // of what every token takes beside its experts

  // Of a kState layer, where config.json says enough; else 0 and `stated_parameters` has them.
  double state_parameters = 0;
  double state_bytes = 0;  // of a sequence in one such layer

  std::optional<double> stated_parameters;  // as published
  double bits_per_weight = 16;              // as stored
  std::string precision;                    // "bf16", "fp8", "int4" ...
  // Type that activations are multiplied in: "bf16", "fp8", "int8", "fp4"; empty: see below.
  std::string activations;

  // Counts of weights, from the shape alone.
  double embedding_parameters() const;  // with the output matrix
  double attention_parameters() const;  // all layers, state mixers too
  double dense_parameters() const;      // feed-forward, dense and shared
  double expert_parameters() const;     // routed experts, all of them
  double counted_parameters() const;

  // What a token meets: embedding rows aside, the output matrix with it.
  double active_parameters() const;
  // The stated number where there is one.
  double parameters() const;

  size_t count(Mixer mixer) const;
  // Of one token in all layers of that kind; bytes of an element of the cache.
  double kv_bytes_per_token(Mixer mixer, double element_bytes) const;
  // Of a sequence of so many tokens: windows hold no more than theirs, states the same always.
  double kv_bytes(double tokens, double element_bytes) const;
  // Of it, what every sequence takes whatever its length.
  double state_bytes_per_sequence() const;
  // The rest of it for each of so many tokens (at least one).
  double kv_bytes_per_token_at(double tokens, double element_bytes) const;
  // How often devices that share every layer hold the same keys and values: a latent is whole on
  // each, and each has a key head at least.
  double kv_copies(int devices) const;
};

// Errors: kCorrupt naming a key that is missing or out of range; kUnsupported for a config without
// the keys of a language model. Unknown model types are read by the usual names.
Result<ModelShape> read_model_shape(const text::Json& config);
// Of a config.json of at most 4 MiB. Errors: those of os::read_file, of parsing and of
// read_model_shape, with the path.
Result<ModelShape> read_model_shape_file(const std::string& path);

// Type that the matrices are multiplied in: that of the activations, else of weights in fp8, int8
// or fp4; weights in others are expanded to bf16 for it (W4A16, W8A16).
std::string arithmetic_type(const ModelShape& shape);

// Of an opened GGUF file or folder: the shape, the file's own bits per weight.
ModelShape model_shape(const model::Config& config, double parameters, double bits_per_weight);

}  // namespace weir::ops
