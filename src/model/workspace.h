// The buffers of a forward pass, allocated once at load for the largest step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "model/config.h"
#include "model/input_observer.h"
#include "model/router.h"

namespace weir::model {

// Zeros that take no memory until they are written: large blocks of calloc() come from the system
// as they are.
class LazyFloats {
 public:
  void resize(size_t n) {
    memory_.reset(static_cast<float*>(std::calloc(n == 0 ? 1 : n, sizeof(float))));
    if (memory_ == nullptr) throw std::bad_alloc();
    size_ = n;
  }
  size_t size() const { return size_; }
  float* data() { return memory_.get(); }
  const float* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> memory_;
  size_t size_ = 0;
};

// Of latent attention (model/mla.h); empty without it.
struct LatentSpace {
  LatentSpace() = default;
  LatentSpace(const Config& c, size_t tokens) {
    const LatentConfig& l = c.latent;
    if (l.kv_rank == 0) return;
    const size_t rows = tokens * static_cast<size_t>(c.heads);
    q_low.resize(tokens * static_cast<size_t>(l.q_rank));
    q.resize(rows * static_cast<size_t>(l.plain_dim + c.rope.dims));
    mixed.resize(rows * static_cast<size_t>(l.kv_rank));
    heads.resize(static_cast<size_t>(c.heads));
  }

  LazyFloats q_low;                         // [tokens, q_rank]
  LazyFloats q;                             // [tokens, heads, plain_dim + rope dims]
  LazyFloats mixed;                         // [tokens, heads, kv_rank]
  kernels::Activations low;                 // of q_low
  std::vector<kernels::Activations> heads;  // [heads]
};

// All f32, row-major, one row a token of the step. Small steps touch the first rows only.
struct Workspace {
  Workspace(const Config& c, int32_t max_step_tokens) {
    const auto n = static_cast<size_t>(max_step_tokens);
    x.resize(n * static_cast<size_t>(c.dim));
    q.resize(n * static_cast<size_t>(c.q_dim()));
    k.resize(n * static_cast<size_t>(c.kv_dim()));
    if (c.latent.kv_rank == 0) v.resize(n * static_cast<size_t>(c.kv_dim()));
    attention.resize(n * static_cast<size_t>(c.attention_dim()));
    latent = LatentSpace(c, n);
    const int32_t widest = std::max({c.ffn_dim, c.expert.ffn_dim, c.expert.shared_ffn_dim});
    hidden.resize(n * static_cast<size_t>(widest));
    branch.resize(n * static_cast<size_t>(c.dim));
    if (c.expert.experts > 0) {
      expert_in.resize(n * static_cast<size_t>(c.dim));
      expert_out.resize(n * static_cast<size_t>(c.dim));
      routes.resize(n * static_cast<size_t>(c.expert.used));
    }
    cos.resize(n * static_cast<size_t>(c.rope.dims / 2));
    sin.resize(cos.size());
    window_cos.resize(cos.size());
    window_sin.resize(cos.size());
  }

  // Shows the rows of `a` to the observer, if there is one.
  void observe(MatrixInput reader, const kernels::Activations& a, int32_t expert = 0) const {
    if (!observer) return;
    observer({reader, layer, expert, a.x(), a.ldx(), a.tokens(), a.cols()});
  }
  // The same of rows that stand close: x [rows, cols].
  void observe(MatrixInput reader, const float* values, size_t rows, size_t cols) const {
    if (observer) observer({reader, layer, 0, values, cols, rows, cols});
  }

  InputObserver observer;  // or empty
  int32_t layer = 0;       // that runs

  LazyFloats x;          // [tokens, dim] residual stream
  LazyFloats q;          // [tokens, heads, head_dim]
  LazyFloats k;          // [tokens, kv_heads, head_dim]
  LazyFloats v;          // [tokens, kv_heads, head_dim]; with latent attention part of k
  LazyFloats attention;  // [tokens, attention_dim]
  LazyFloats hidden;     // [tokens, ffn_dim of the layer or of an expert]
  LazyFloats branch;     // [tokens, dim] what a part adds, where it is not added at once
  LazyFloats cos, sin;   // [tokens, rope dims / 2]
  LazyFloats window_cos, window_sin;  // the same for layers with a window
  LazyFloats expert_in;               // [tokens of one expert, dim]
  LazyFloats expert_out;              // [tokens of one expert, dim]
  std::vector<Route> routes;          // [tokens, used experts]
  LatentSpace latent;
  kernels::Activations activations;
  kernels::Activations expert_activations;
  std::vector<kernels::AttentionChunk> chunks;
};

}  // namespace weir::model
