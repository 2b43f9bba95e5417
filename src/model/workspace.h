// The buffers of a forward pass, allocated once at load for the largest step.
#pragma once

#include <vector>

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "model/config.h"

namespace weir::model {

// All f32, row-major, one row a token of the step.
struct Workspace {
  Workspace(const Config& c, int32_t max_step_tokens) {
    const auto n = static_cast<size_t>(max_step_tokens);
    x.resize(n * static_cast<size_t>(c.dim));
    q.resize(n * static_cast<size_t>(c.q_dim()));
    k.resize(n * static_cast<size_t>(c.kv_dim()));
    v.resize(n * static_cast<size_t>(c.kv_dim()));
    attention.resize(n * static_cast<size_t>(c.q_dim()));
    hidden.resize(n * static_cast<size_t>(c.ffn_dim));
    cos.resize(n * static_cast<size_t>(c.rope.dims / 2));
    sin.resize(cos.size());
  }

  std::vector<float> x;          // [tokens, dim] residual stream
  std::vector<float> q;          // [tokens, heads, head_dim]
  std::vector<float> k;          // [tokens, kv_heads, head_dim]
  std::vector<float> v;          // [tokens, kv_heads, head_dim]
  std::vector<float> attention;  // [tokens, heads, head_dim]
  std::vector<float> hidden;     // [tokens, ffn_dim]
  std::vector<float> cos, sin;   // [tokens, rope dims / 2]
  kernels::Activations activations;
  std::vector<kernels::AttentionChunk> chunks;
};

}  // namespace weir::model
