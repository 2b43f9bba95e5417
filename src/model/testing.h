// For tests: tiny random models of every architecture, and a forward pass written a second time in
// plain double loops, straight from the architecture's definition, to hold the real one against.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "gguf/file.h"
#include "gguf/writer.h"

namespace weir::model {

struct TinySpec {
  std::string arch = "llama";
  int32_t layers = 2, dim = 64, ffn_dim = 96, heads = 4, kv_heads = 2, head_dim = 16, vocab = 80,
          context = 512;
  bool bias = false;  // q, k, v (and, for llama, output and feed-forward) biases
  bool qk_norm = false;
  bool tied = false;
  std::string rope_scaling;  // "", "linear", "yarn"
  float rope_factor = 1.0F;
  bool rope_factors = false;  // a rope_freqs.weight tensor (llama3 scaling)
  uint64_t seed = 1;
};

// What a model's KV cache is given, by the reference: [layers][tokens][kv_heads * head_dim].
struct ReferenceCache {
  std::vector<std::vector<std::vector<double>>> keys, values;
};

// The tensors of a tiny model in f32, by GGUF name, [rows, cols] row-major.
class TinyModel {
 public:
  explicit TinyModel(const TinySpec& spec);

  const TinySpec& spec() const { return spec_; }
  const std::vector<float>& tensor(const std::string& name) const { return tensors_.at(name); }
  std::vector<float>& tensor(const std::string& name) { return tensors_.at(name); }

  // A GGUF file with all of it; `drop` leaves one tensor out.
  std::vector<std::byte> to_gguf(const std::string& drop = "") const;

  // Logits of every position, [tokens, vocab], by the reference. cache: nullptr, or filled in.
  std::vector<std::vector<double>> reference_logits(const std::vector<int32_t>& tokens,
                                                    ReferenceCache* cache = nullptr) const;

 private:
  void add(const std::string& name, size_t rows, size_t cols, double scale, double offset,
           Rng& rng);

  TinySpec spec_;
  std::map<std::string, std::vector<float>> tensors_;
  std::map<std::string, std::vector<uint64_t>> shapes_;  // file order
};

// The spec of each architecture and feature that tests go through.
std::vector<TinySpec> tiny_specs();

}  // namespace weir::model
