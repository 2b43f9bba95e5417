#include "model/forward.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "quant/codec.h"

namespace weir::model {
namespace {

const float* data_or_null(const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); }

class ForwardPass {
 public:
  ForwardPass(const ForwardContext& context, std::span<const Chunk> batch,
              std::span<const kernels::KvPools> kv, const kernels::KvLayout& layout)
      : config_(context.config),
        weights_(context.weights),
        rope_(context.rope),
        kernels_(context.kernels),
        pool_(context.pool),
        w_(context.space),
        batch_(batch),
        kv_(kv),
        dim_(static_cast<size_t>(config_.dim)),
        q_dim_(static_cast<size_t>(config_.q_dim())),
        kv_dim_(static_cast<size_t>(config_.kv_dim())),
        ffn_dim_(static_cast<size_t>(config_.ffn_dim)) {
    attention_.layout = layout;
    attention_.heads = static_cast<size_t>(config_.heads);
    attention_.scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim));
  }

  Status run(std::span<float> logits) {
    WEIR_TRY(place_tokens());
    for (size_t i = 0; i < weights_.layers.size(); ++i) {
      const LayerWeights& layer = weights_.layers[i];
      project_qkv(layer);
      attend(kv_[i]);
      const size_t rows = i + 1 == weights_.layers.size() ? keep_wanted_rows() : tokens_;
      if (rows == 0) return {};
      project_output(layer, rows);
      feed_forward(layer, rows);
      wanted_ = rows;
    }
    w_.activations.quantize_rms_norm(kernels_, pool_, w_.x.data(), dim_, wanted_, dim_,
                                     weights_.output_norm.data(), config_.norm_epsilon);
    matmul({{&weights_.output, logits.data(), static_cast<size_t>(config_.vocab_size)}});
    return {};
  }

 private:
  // Fills x with embeddings, cos and sin with the rotations of each position, and the chunks'
  // places among the rows.
  Status place_tokens() {
    const gguf::Tensor& e = *weights_.embedding;
    const size_t row_bytes = e.data.size() / static_cast<size_t>(config_.vocab_size);
    const auto pairs = static_cast<size_t>(rope_.pairs());
    w_.chunks.clear();
    tokens_ = 0;
    for (const Chunk& chunk : batch_) {
      w_.chunks.push_back(
          {tokens_, chunk.tokens.size(), static_cast<size_t>(chunk.position), chunk.pages});
      for (size_t i = 0; i < chunk.tokens.size(); ++i, ++tokens_) {
        const auto id = static_cast<size_t>(chunk.tokens[i]);
        WEIR_TRY(quant::decode(e.type, e.data.subspan(id * row_bytes, row_bytes),
                               {w_.x.data() + tokens_ * dim_, dim_}));
        rope_.fill(chunk.position + static_cast<int32_t>(i),
                   {w_.cos.data() + tokens_ * pairs, pairs},
                   {w_.sin.data() + tokens_ * pairs, pairs});
      }
    }
    return {};
  }

  void matmul(std::initializer_list<kernels::MatmulJob> jobs) {
    kernels::matmul(kernels_, pool_, w_.activations, {jobs.begin(), jobs.size()});
  }

  // q: [tokens, heads, head_dim]; k, v: [tokens, kv_heads, head_dim]; q and k normed and rotated.
  void project_qkv(const LayerWeights& layer) {
    w_.activations.quantize_rms_norm(kernels_, pool_, w_.x.data(), dim_, tokens_, dim_,
                                     layer.attn_norm.data(), config_.norm_epsilon);
    matmul({{&layer.q, w_.q.data(), q_dim_, data_or_null(layer.q_bias)},
            {&layer.k, w_.k.data(), kv_dim_, data_or_null(layer.k_bias)},
            {&layer.v, w_.v.data(), kv_dim_, data_or_null(layer.v_bias)}});
    position_heads(w_.q.data(), q_dim_, layer.q_norm);
    position_heads(w_.k.data(), kv_dim_, layer.k_norm);
  }

  // Norm of each head where the architecture has it, then rotation. x: [tokens, width / head_dim,
  // head_dim].
  void position_heads(float* x, size_t width, const std::vector<float>& norm) {
    const auto head_dim = static_cast<size_t>(config_.head_dim);
    const size_t heads = width / head_dim;
    if (!norm.empty()) {
      kernels::rms_norm_heads(kernels_, pool_, x, width, tokens_, heads, head_dim, norm.data(),
                              config_.norm_epsilon);
    }
    const auto style = config_.arch->rope == RopeKind::kHalves ? kernels::RopeStyle::kHalves
                                                               : kernels::RopeStyle::kInterleaved;
    kernels::rope(kernels_, pool_, x, width, tokens_, heads, head_dim,
                  static_cast<size_t>(config_.rope.dims), style, w_.cos.data(), w_.sin.data());
  }

  void attend(const kernels::KvPools& kv) {
    kernels::store_kv(kernels_, pool_, attention_.layout, kv, w_.chunks, w_.k.data(), kv_dim_,
                      w_.v.data(), kv_dim_);
    kernels::attention(kernels_, pool_, attention_, kv, w_.chunks, w_.q.data(), q_dim_,
                       w_.attention.data(), q_dim_);
  }

  // After the last attention only rows that want logits matter: moves them to the front of
  // attention and x.
  size_t keep_wanted_rows() {
    size_t row = 0;
    size_t kept = 0;
    for (const Chunk& chunk : batch_) {
      row += chunk.tokens.size();
      const auto wanted = static_cast<size_t>(chunk.logit_rows);
      const size_t first = row - wanted;
      if (first != kept) {
        std::copy_n(w_.x.data() + first * dim_, wanted * dim_, w_.x.data() + kept * dim_);
        std::copy_n(w_.attention.data() + first * q_dim_, wanted * q_dim_,
                    w_.attention.data() + kept * q_dim_);
      }
      kept += wanted;
    }
    return kept;
  }

  void project_output(const LayerWeights& layer, size_t rows) {
    w_.activations.quantize(kernels_, pool_, w_.attention.data(), q_dim_, rows, q_dim_);
    matmul({{&layer.o, w_.x.data(), dim_, data_or_null(layer.o_bias), /*add=*/true}});
  }

  void feed_forward(const LayerWeights& layer, size_t rows) {
    w_.activations.quantize_rms_norm(kernels_, pool_, w_.x.data(), dim_, rows, dim_,
                                     layer.ffn_norm.data(), config_.norm_epsilon);
    kernels::matmul_gated(kernels_, pool_, w_.activations, layer.gate, layer.up, w_.hidden.data(),
                          ffn_dim_, data_or_null(layer.gate_bias), data_or_null(layer.up_bias));
    w_.activations.quantize(kernels_, pool_, w_.hidden.data(), ffn_dim_, rows, ffn_dim_);
    matmul({{&layer.down, w_.x.data(), dim_, data_or_null(layer.down_bias), /*add=*/true}});
  }

  const Config& config_;
  const Weights& weights_;
  const RopeTable& rope_;
  const kernels::Kernels& kernels_;
  kernels::ThreadPool& pool_;
  Workspace& w_;
  std::span<const Chunk> batch_;
  std::span<const kernels::KvPools> kv_;
  kernels::AttentionParams attention_;
  size_t dim_, q_dim_, kv_dim_, ffn_dim_;
  size_t tokens_ = 0;  // rows of the step
  size_t wanted_ = 0;  // rows that want logits
};

}  // namespace

Status run_forward(const ForwardContext& context, std::span<const Chunk> batch,
                   std::span<const kernels::KvPools> kv, const kernels::KvLayout& layout,
                   std::span<float> logits) {
  return ForwardPass(context, batch, kv, layout).run(logits);
}

}  // namespace weir::model
