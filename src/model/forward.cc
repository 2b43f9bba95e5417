#include "model/forward.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/experts.h"
#include "model/mla.h"
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
        window_rope_(context.window_rope),
        kernels_(context.kernels),
        pool_(context.pool),
        w_(context.space),
        batch_(batch),
        kv_(kv),
        dim_(static_cast<size_t>(config_.dim)),
        q_dim_(static_cast<size_t>(config_.q_dim())),
        kv_dim_(static_cast<size_t>(config_.kv_dim())),
        attention_dim_(static_cast<size_t>(config_.attention_dim())),
        ffn_dim_(static_cast<size_t>(config_.ffn_dim)) {
    attention_.layout = layout;
    attention_.heads = static_cast<size_t>(config_.heads);
    attention_.scale = config_.attention_scale;
    attention_.softcap = config_.attention_softcap;
    attention_.causal = !config_.arch->encoder;
  }

  Status run(std::span<float> logits, std::span<float> hidden) {
    WEIR_TRY(place_tokens());
    for (size_t i = 0; i < weights_.layers.size(); ++i) {
      const LayerWeights& layer = weights_.layers[i];
      w_.layer = static_cast<int32_t>(i);
      project_qkv(layer, static_cast<int32_t>(i));
      if (parallel()) ffn_up(layer);
      attend(layer, static_cast<int32_t>(i));
      const size_t rows = i + 1 == weights_.layers.size() ? keep_wanted_rows() : tokens_;
      if (rows == 0) return {};
      project(MatrixInput::kAttentionOutput, layer.o, layer.o_bias, layer.attn_post_norm,
              w_.attention.data(), attention_dim_, rows);
      feed_forward(layer, rows);
      wanted_ = rows;
    }
    take_hidden(hidden);
    if (logits.empty()) return {};
    normalize(weights_.output_norm, wanted_);
    matmul({{&weights_.output, logits.data(), static_cast<size_t>(config_.vocab_size)}});
    if (config_.logit_scale != 1.0F)
      kernels::scale(kernels_, config_.logit_scale, logits.data(), logits.size());
    if (config_.logit_softcap > 0)
      kernels::softcap(kernels_, config_.logit_softcap, logits.data(), logits.size());
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
        float* x = w_.x.data() + tokens_ * dim_;
        WEIR_TRY(quant::decode(e.type, e.data.subspan(id * row_bytes, row_bytes), {x, dim_}));
        if (config_.embedding_scale != 1.0F)
          kernels::scale(kernels_, config_.embedding_scale, x, dim_);
        const int32_t position = chunk.position + static_cast<int32_t>(i);
        if (weights_.positions != nullptr) WEIR_TRY(add_position(position, x));
        if (!weights_.token_type.empty())
          kernels::add(kernels_, weights_.token_type.data(), dim_, x);
        rope_.fill(position, {w_.cos.data() + tokens_ * pairs, pairs},
                   {w_.sin.data() + tokens_ * pairs, pairs});
        if (config_.arch->window_rope_base > 0) {
          window_rope_.fill(position, {w_.window_cos.data() + tokens_ * pairs, pairs},
                            {w_.window_sin.data() + tokens_ * pairs, pairs});
        }
      }
    }
    if (!weights_.embedding_norm.empty())
      norm_rows(weights_.embedding_norm, w_.x.data(), tokens_, w_.x.data());
    return {};
  }

  Status add_position(int32_t position, float* x) {
    const gguf::Tensor& p = *weights_.positions;
    const auto at = static_cast<size_t>(position);
    if (at >= p.shape[1]) {
      return make_error(ErrorCode::kInternal, "position {} is past the {} the model has learned",
                        position, p.shape[1]);
    }
    const size_t row_bytes = p.data.size() / p.shape[1];
    float* learned = w_.branch.data();
    WEIR_TRY(quant::decode(p.type, p.data.subspan(at * row_bytes, row_bytes), {learned, dim_}));
    kernels::add(kernels_, learned, dim_, x);
    return {};
  }

  bool latent() const { return config_.latent.kv_rank > 0; }
  bool parallel() const { return config_.arch->block == BlockKind::kParallel; }
  bool norm_after() const { return config_.arch->block == BlockKind::kNormAfter; }

  // y = norm(x) in f32. x, y: [rows, dim]; the same is allowed.
  void norm_rows(const NormWeights& norm, const float* x, size_t rows, float* y) {
    if (config_.arch->norm == NormKind::kLayer) {
      kernels::layer_norm(kernels_, pool_, x, dim_, rows, dim_, norm.weight.data(),
                          data_or_null(norm.bias), config_.norm_epsilon, y, dim_);
    } else {
      kernels::rms_norm(kernels_, pool_, x, dim_, rows, dim_, norm.weight.data(),
                        config_.norm_epsilon, y, dim_);
    }
  }

  // The rows of x, normed where the model has a norm here, as the next matmul's input.
  void normalize(const NormWeights& norm, size_t rows) {
    kernels::Activations& a = w_.activations;
    const float* x = w_.x.data();
    if (norm.empty()) {
      a.quantize(kernels_, pool_, x, dim_, rows, dim_);
    } else if (config_.arch->norm == NormKind::kLayer) {
      a.quantize_layer_norm(kernels_, pool_, x, dim_, rows, dim_, norm.weight.data(),
                            data_or_null(norm.bias), config_.norm_epsilon);
    } else {
      a.quantize_rms_norm(kernels_, pool_, x, dim_, rows, dim_, norm.weight.data(),
                          config_.norm_epsilon);
    }
  }

  void matmul(std::initializer_list<kernels::MatmulJob> jobs) {
    kernels::matmul(kernels_, pool_, w_.activations, {jobs.begin(), jobs.size()});
  }

  // q: [tokens, heads, head_dim]; k, v: [tokens, kv_heads, head_dim]; q and k normed and rotated.
  // With latent attention v is part of k.
  void project_qkv(const LayerWeights& layer, int32_t index) {
    normalize(layer.attn_norm, tokens_);
    w_.observe(MatrixInput::kAttention, w_.activations);
    if (latent()) return project_latent(kernels_, pool_, config_, layer.latent, w_, tokens_);
    matmul({{&layer.q, w_.q.data(), q_dim_, data_or_null(layer.q_bias)},
            {&layer.k, w_.k.data(), kv_dim_, data_or_null(layer.k_bias)},
            {&layer.v, w_.v.data(), kv_dim_, data_or_null(layer.v_bias)}});
    position_heads(w_.q.data(), q_dim_, layer.q_norm, index);
    position_heads(w_.k.data(), kv_dim_, layer.k_norm, index);
  }

  // Norm where the architecture has it, then rotation. x: [tokens, width / head_dim, head_dim].
  void position_heads(float* x, size_t width, const std::vector<float>& norm, int32_t layer) {
    const auto head_dim = static_cast<size_t>(config_.head_dim);
    const size_t heads = width / head_dim;
    if (!norm.empty()) {
      const size_t parts = config_.arch->qk_norm == QkNorm::kRow ? 1 : heads;
      kernels::rms_norm_heads(kernels_, pool_, x, width, tokens_, parts, width / parts, norm.data(),
                              config_.norm_epsilon);
    }
    if (!config_.rotates(layer)) return;
    const bool own = config_.arch->window_rope_base > 0 && config_.windowed(layer);
    const auto style = config_.arch->rope == RopeKind::kHalves ? kernels::RopeStyle::kHalves
                                                               : kernels::RopeStyle::kInterleaved;
    kernels::rope(kernels_, pool_, x, width, tokens_, heads, head_dim,
                  static_cast<size_t>(config_.rope.dims), style,
                  own ? w_.window_cos.data() : w_.cos.data(),
                  own ? w_.window_sin.data() : w_.sin.data());
  }

  void attend(const LayerWeights& layer, int32_t index) {
    const kernels::KvPools& kv = kv_[static_cast<size_t>(index)];
    attention_.window = config_.windowed(index) ? static_cast<size_t>(config_.window) : 0;
    attention_.sinks = data_or_null(layer.sinks);
    if (!latent()) {
      w_.observe(MatrixInput::kCachedKeys, w_.k.data(), tokens_, kv_dim_);
      w_.observe(MatrixInput::kCachedValues, w_.v.data(), tokens_, kv_dim_);
    }
    kernels::store_kv(kernels_, pool_, attention_.layout, kv, w_.chunks, w_.k.data(), kv_dim_,
                      latent() ? w_.k.data() : w_.v.data(), kv_dim_);
    float* out = latent() ? w_.latent.mixed.data() : w_.attention.data();
    kernels::attention(kernels_, pool_, attention_, kv, w_.chunks, w_.q.data(), q_dim_, out,
                       attention_.heads * attention_.layout.value_dim);
    if (latent()) expand_latent(kernels_, pool_, config_, layer.latent, w_, tokens_);
  }

  // After the last attention only rows that want something matter: moves them to the front of
  // attention, x and hidden.
  size_t keep_wanted_rows() {
    size_t row = 0;
    size_t kept = 0;
    for (const Chunk& chunk : batch_) {
      row += chunk.tokens.size();
      const auto wanted = static_cast<size_t>(std::max(chunk.logit_rows, chunk.hidden_rows));
      const size_t first = row - wanted;
      if (first != kept) {
        std::copy_n(w_.x.data() + first * dim_, wanted * dim_, w_.x.data() + kept * dim_);
        std::copy_n(w_.attention.data() + first * attention_dim_, wanted * attention_dim_,
                    w_.attention.data() + kept * attention_dim_);
        if (parallel()) {
          std::copy_n(w_.hidden.data() + first * ffn_dim_, wanted * ffn_dim_,
                      w_.hidden.data() + kept * ffn_dim_);
        }
      }
      kept += wanted;
    }
    return kept;
  }

  // Of the wanted rows of x: the normed states of those that want them go to `hidden`, the others
  // (which want logits) to the front.
  void take_hidden(std::span<float> hidden) {
    if (hidden.empty()) return;
    size_t row = 0;
    size_t kept = 0;
    float* to = hidden.data();
    for (const Chunk& chunk : batch_) {
      const auto own = static_cast<size_t>(chunk.hidden_rows);
      const auto logits = static_cast<size_t>(chunk.logit_rows);
      const float* x = w_.x.data() + row * dim_;
      if (weights_.output_norm.empty()) {
        std::copy_n(x, own * dim_, to);
      } else {
        norm_rows(weights_.output_norm, x, own, to);
      }
      if (row + own != kept) std::copy_n(x, logits * dim_, w_.x.data() + kept * dim_);
      to += own * dim_;
      kept += logits;
      row += own + logits;
    }
    wanted_ = kept;
  }

  // x += [norm of] w·input [times the residual scale], or the norm of that sum. input: [rows,
  // cols].
  void project(MatrixInput reader, const kernels::PackedMatrix& w, const std::vector<float>& bias,
               const NormWeights& post_norm, const float* input, size_t cols, size_t rows) {
    w_.activations.quantize(kernels_, pool_, input, cols, rows, cols);
    w_.observe(reader, w_.activations);
    const bool direct = (post_norm.empty() || norm_after()) && config_.residual_scale == 1.0F;
    matmul({{&w, direct ? w_.x.data() : w_.branch.data(), dim_, data_or_null(bias), direct}});
    if (!direct) return add_branch(post_norm, rows);
    if (norm_after()) norm_rows(post_norm, w_.x.data(), rows, w_.x.data());
  }

  void add_branch(const NormWeights& post_norm, size_t rows) {
    float* branch = w_.branch.data();
    if (!post_norm.empty() && !norm_after()) norm_rows(post_norm, branch, rows, branch);
    if (config_.residual_scale != 1.0F)
      kernels::scale(kernels_, config_.residual_scale, branch, rows * dim_);
    kernels::add(kernels_, branch, rows * dim_, w_.x.data());
    if (norm_after()) norm_rows(post_norm, w_.x.data(), rows, w_.x.data());
  }

  void ffn_up(const LayerWeights& layer) {
    w_.observe(MatrixInput::kFeedForward, w_.activations);
    run_ffn_up(kernels_, pool_, config_.arch->activation, layer.ffn, w_.activations,
               w_.hidden.data());
  }

  void feed_forward(const LayerWeights& layer, size_t rows) {
    if (!parallel()) normalize(layer.ffn_norm, rows);
    if (!layer.experts.empty()) {
      run_experts(kernels_, pool_, config_, layer.experts, w_, rows, w_.branch.data());
      add_branch(layer.ffn_post_norm, rows);
      return;
    }
    if (!parallel()) ffn_up(layer);
    project(MatrixInput::kDown, layer.ffn.down, layer.ffn.down_bias, layer.ffn_post_norm,
            w_.hidden.data(), ffn_dim_, rows);
  }

  const Config& config_;
  const Weights& weights_;
  const RopeTable& rope_;
  const RopeTable& window_rope_;
  const kernels::Kernels& kernels_;
  kernels::ThreadPool& pool_;
  Workspace& w_;
  std::span<const Chunk> batch_;
  std::span<const kernels::KvPools> kv_;
  kernels::AttentionParams attention_;
  size_t dim_, q_dim_, kv_dim_, attention_dim_, ffn_dim_;
  size_t tokens_ = 0;  // rows of the step
  size_t wanted_ = 0;  // rows that want logits or their hidden state
};

}  // namespace

Status run_forward(const ForwardContext& context, std::span<const Chunk> batch,
                   std::span<const kernels::KvPools> kv, const kernels::KvLayout& layout,
                   std::span<float> logits, std::span<float> hidden) {
  return ForwardPass(context, batch, kv, layout).run(logits, hidden);
}

}  // namespace weir::model
