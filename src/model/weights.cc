#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>

#include "model/finite.h"
#include "quant/codec.h"

namespace weir::model {
namespace {

constexpr uint64_t kMaxSegments = 1024;  // of token_types.weight; published models have 1 or 2

// One load: looks tensors up, checks them and packs.
class Loader {
 public:
  Loader(const gguf::File& file, const Config& config, kernels::ThreadPool& pool,
         const WeightOptions& options)
      : file_(file),
        config_(config),
        pool_(pool),
        options_(options),
        context_tokens_(options.context_tokens > 0 ? options.context_tokens
                                                   : config.context_tokens) {}

  Result<Weights> load();

 private:
  // The tensor, which is there and has this shape.
  Result<const gguf::Tensor*> shaped(const std::string& name, std::initializer_list<int32_t> shape);
  // And is finite, as far as that is not found out by packing it.
  Result<const gguf::Tensor*> checked(const std::string& name,
                                      std::initializer_list<int32_t> shape);
  // The values of a checked tensor, in f32.
  Result<std::vector<float>> decoded(const gguf::Tensor& t);
  Result<std::vector<float>> vector(const std::string& name, int32_t n);
  Result<std::vector<float>> vector_if_present(const std::string& name, int32_t n);
  Result<NormWeights> norm(const std::string& name);
  // Rows [first, first + rows) of a checked tensor.
  Result<kernels::PackedMatrix> pack(const gguf::Tensor& t, size_t first, size_t rows,
                                     const std::function<void()>* beside = nullptr);
  Result<kernels::PackedMatrix> matrix(const std::string& name, int32_t rows, int32_t cols,
                                       const std::function<void()>* beside = nullptr);
  Result<std::vector<float>> bias(const std::string& name, int32_t n, BiasRule rule);
  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }
  Status load_fused_qkv(const std::string& prefix, LayerWeights& layer);
  Status load_qkv(const std::string& prefix, LayerWeights& layer);
  Status load_latent(const std::string& prefix, LatentWeights& latent);
  Status load_expansion(const std::string& prefix, LatentWeights& latent);
  Status split_expansion(const std::string& prefix, LatentWeights& latent);
  Result<FeedForward> dense_ffn(const std::string& prefix, const std::string& suffix,
                                int32_t ffn_dim);
  Result<std::vector<float>> expert_biases(const std::string& name, int32_t n);
  Result<ExpertWeights> experts(const std::string& prefix);
  Status load_rope_factors(Weights& weights);
  Status load_attention(const std::string& prefix, LayerWeights& layer);
  Status load_ffn(const std::string& prefix, LayerWeights& layer);
  Status load_head(Weights& weights);
  Status load_encoder_embedding(Weights& weights);
  void count() {
    if (options_.progress) options_.progress(++done_, file_.tensors().size());
  }

  const gguf::File& file_;
  const Config& config_;
  kernels::ThreadPool& pool_;
  const WeightOptions& options_;
  int32_t context_tokens_;
  kernels::BufferArena arena_;
  size_t done_ = 0;
  uint64_t packed_bytes_ = 0;
};

// shape: in file order, the contiguous dimension first.
Result<const gguf::Tensor*> Loader::shaped(const std::string& name,
                                           std::initializer_list<int32_t> shape) {
  const gguf::Tensor* t = file_.find_tensor(name);
  if (t == nullptr) {
    return make_error(
        ErrorCode::kCorrupt,
        "tensor {} is missing; the file is not a complete {} model: download or convert it again",
        name, config_.arch->name);
  }
  const std::vector<uint64_t> wanted(shape.begin(), shape.end());
  if (t->shape != wanted) {
    return make_error(ErrorCode::kCorrupt, "tensor {} has shape [{}]; the metadata asks for [{}]",
                      name, fmt::join(t->shape, ", "), fmt::join(wanted, ", "));
  }
  return t;
}

Result<const gguf::Tensor*> Loader::checked(const std::string& name,
                                            std::initializer_list<int32_t> shape) {
  WEIR_ASSIGN(const gguf::Tensor* t, shaped(name, shape));
  WEIR_TRY(check_finite(*t, pool_));
  return t;
}

Result<std::vector<float>> Loader::decoded(const gguf::Tensor& t) {
  std::vector<float> values(t.elements());
  if (auto status = quant::decode(t.type, t.data, values); !status.ok())
    return status.error().with_context(fmt::format("tensor {}", t.name));
  // What check_finite knows no place for, and doubles that are too large.
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    return make_error(ErrorCode::kCorrupt,
                      "tensor {}: element {} is not finite in f32; download or convert the file "
                      "again",
                      t.name, bad - values.begin());
  }
  count();
  return values;
}

Result<std::vector<float>> Loader::vector(const std::string& name, int32_t n) {
  WEIR_ASSIGN(const gguf::Tensor* t, checked(name, {n}));
  return decoded(*t);
}

Result<std::vector<float>> Loader::vector_if_present(const std::string& name, int32_t n) {
  if (file_.find_tensor(name) == nullptr) return std::vector<float>{};
  return vector(name, n);
}

Result<std::vector<float>> Loader::bias(const std::string& name, int32_t n, BiasRule rule) {
  if (rule == BiasRule::kRequired) return vector(name, n);
  if (rule == BiasRule::kNone && file_.find_tensor(name) != nullptr) {
    return make_error(ErrorCode::kCorrupt, "tensor {} does not belong to a {} model", name,
                      config_.arch->name);
  }
  return vector_if_present(name, n);
}

Result<NormWeights> Loader::norm(const std::string& name) {
  NormWeights n;
  WEIR_ASSIGN(n.weight, vector(name + ".weight", config_.dim));
  if (config_.arch->norm == NormKind::kLayer) {
    WEIR_ASSIGN(n.bias, vector_if_present(name + ".bias", config_.dim));
  }
  return n;
}

Result<kernels::PackedMatrix> Loader::pack(const gguf::Tensor& t, size_t first, size_t rows,
                                           const std::function<void()>* beside) {
  size_t all = 1;
  for (size_t i = 1; i < t.shape.size(); ++i) all *= t.shape[i];
  const size_t row_bytes = t.data.size() / all;
  auto packed = kernels::PackedMatrix::pack(
      t.type, t.data.subspan(first * row_bytes, rows * row_bytes), rows, t.shape[0], options_.isa,
      pool_, {.arena = &arena_, .beside = beside});
  if (!packed.ok()) {
    WEIR_TRY(check_finite(t, pool_));  // says which element it is
    return packed.error().with_context(fmt::format("tensor {}", t.name));
  }
  packed_bytes_ += packed->bytes();
  return packed;
}

Result<kernels::PackedMatrix> Loader::matrix(const std::string& name, int32_t rows, int32_t cols,
                                             const std::function<void()>* beside) {
  WEIR_ASSIGN(const gguf::Tensor* t, shaped(name, {cols, rows}));
  WEIR_ASSIGN(auto packed, pack(*t, 0, static_cast<size_t>(rows), beside));
  count();
  return packed;
}

// Q, K and V one below the other in one tensor.
Status Loader::load_fused_qkv(const std::string& p, LayerWeights& w) {
  const auto q = static_cast<size_t>(config_.q_dim());
  const auto kv = static_cast<size_t>(config_.kv_dim());
  const int32_t all = config_.q_dim() + 2 * config_.kv_dim();
  WEIR_ASSIGN(const gguf::Tensor* t, shaped(p + "attn_qkv.weight", {config_.dim, all}));
  WEIR_ASSIGN(w.q, pack(*t, 0, q));
  WEIR_ASSIGN(w.k, pack(*t, q, kv));
  WEIR_ASSIGN(w.v, pack(*t, q + kv, kv));
  count();
  WEIR_ASSIGN(const std::vector<float> b, bias(p + "attn_qkv.bias", all, config_.arch->qkv_bias));
  if (b.empty()) return {};
  const auto k_at = b.begin() + config_.q_dim();
  const auto v_at = k_at + config_.kv_dim();
  w.q_bias.assign(b.begin(), k_at);
  w.k_bias.assign(k_at, v_at);
  w.v_bias.assign(v_at, b.end());
  return {};
}

Status Loader::load_qkv(const std::string& p, LayerWeights& w) {
  const Config& c = config_;
  if (has(p + "attn_qkv.weight")) return load_fused_qkv(p, w);
  WEIR_ASSIGN(w.q, matrix(p + "attn_q.weight", c.q_dim(), c.dim));
  WEIR_ASSIGN(w.k, matrix(p + "attn_k.weight", c.kv_dim(), c.dim));
  WEIR_ASSIGN(w.v, matrix(p + "attn_v.weight", c.kv_dim(), c.dim));
  WEIR_ASSIGN(w.q_bias, bias(p + "attn_q.bias", c.q_dim(), c.arch->qkv_bias));
  WEIR_ASSIGN(w.k_bias, bias(p + "attn_k.bias", c.kv_dim(), c.arch->qkv_bias));
  WEIR_ASSIGN(w.v_bias, bias(p + "attn_v.bias", c.kv_dim(), c.arch->qkv_bias));
  return {};
}

Status Loader::load_latent(const std::string& p, LatentWeights& w) {
  const Config& c = config_;
  const LatentConfig& l = c.latent;
  const int32_t q_dim = c.heads * (l.plain_dim + c.rope.dims);
  if (l.q_rank > 0) {
    WEIR_ASSIGN(w.q_a, matrix(p + "attn_q_a.weight", l.q_rank, c.dim));
    WEIR_ASSIGN(w.q_a_norm, vector(p + "attn_q_a_norm.weight", l.q_rank));
    WEIR_ASSIGN(w.q, matrix(p + "attn_q_b.weight", q_dim, l.q_rank));
  } else {
    WEIR_ASSIGN(w.q, matrix(p + "attn_q.weight", q_dim, c.dim));
  }
  WEIR_ASSIGN(w.kv_a, matrix(p + "attn_kv_a_mqa.weight", c.head_dim, c.dim));
  WEIR_ASSIGN(w.kv_a_norm, vector(p + "attn_kv_a_norm.weight", l.kv_rank));
  return has(p + "attn_kv_b.weight") ? split_expansion(p, w) : load_expansion(p, w);
}

Status Loader::load_expansion(const std::string& p, LatentWeights& w) {
  const LatentConfig& l = config_.latent;
  const int32_t heads = config_.heads;
  WEIR_ASSIGN(const gguf::Tensor* k_b,
              checked(p + "attn_k_b.weight", {l.plain_dim, l.kv_rank, heads}));
  WEIR_ASSIGN(const gguf::Tensor* v_b,
              checked(p + "attn_v_b.weight", {l.kv_rank, l.value_dim, heads}));
  const auto rank = static_cast<size_t>(l.kv_rank);
  const auto value = static_cast<size_t>(l.value_dim);
  for (size_t h = 0; h < static_cast<size_t>(heads); ++h) {
    WEIR_ASSIGN(auto absorb, pack(*k_b, h * rank, rank));
    WEIR_ASSIGN(auto expand, pack(*v_b, h * value, value));
    w.absorb.push_back(std::move(absorb));
    w.expand.push_back(std::move(expand));
  }
  count();
  count();
  return {};
}

// Files from before the split: of each head the rows of its plain key, then those of its value. The
// former are wanted transposed, which blocks of a quantized type do not allow: they become f32.
Status Loader::split_expansion(const std::string& p, LatentWeights& w) {
  const LatentConfig& l = config_.latent;
  const auto heads = static_cast<size_t>(config_.heads);
  const auto rank = static_cast<size_t>(l.kv_rank);
  const auto plain = static_cast<size_t>(l.plain_dim);
  const auto value = static_cast<size_t>(l.value_dim);
  WEIR_ASSIGN(
      const gguf::Tensor* t,
      checked(p + "attn_kv_b.weight", {l.kv_rank, config_.heads * (l.plain_dim + l.value_dim)}));
  const size_t row_bytes = t->data.size() / t->shape[1];
  std::vector<float> rows(plain * rank);
  std::vector<float> transposed(rows.size());
  for (size_t h = 0; h < heads; ++h) {
    const size_t first = h * (plain + value);
    if (auto status =
            quant::decode(t->type, t->data.subspan(first * row_bytes, plain * row_bytes), rows);
        !status.ok())
      return status.error().with_context(fmt::format("tensor {}", t->name));
    for (size_t i = 0; i < plain; ++i) {
      for (size_t r = 0; r < rank; ++r) transposed[r * plain + i] = rows[i * rank + r];
    }
    auto absorb =
        kernels::PackedMatrix::pack(gguf::TensorType::kF32, std::as_bytes(std::span(transposed)),
                                    rank, plain, options_.isa, pool_, {.arena = &arena_});
    if (!absorb.ok()) return absorb.error().with_context(fmt::format("tensor {}", t->name));
    packed_bytes_ += absorb->bytes();
    WEIR_ASSIGN(auto expand, pack(*t, first + plain, value));
    w.absorb.push_back(std::move(*absorb));
    w.expand.push_back(std::move(expand));
  }
  count();
  return {};
}

Status Loader::load_attention(const std::string& p, LayerWeights& w) {
  const Config& c = config_;
  if (has(p + "attn_norm_2.weight")) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor {}attn_norm_2.weight: a second attention norm is not supported", p);
  }
  const BlockKind block = c.arch->block;
  if (block != BlockKind::kPostNorm && block != BlockKind::kNormAfter) {
    WEIR_ASSIGN(w.attn_norm, norm(p + "attn_norm"));
  }
  if (block == BlockKind::kNormAfter) {
    WEIR_ASSIGN(w.attn_post_norm, norm(p + "attn_output_norm"));
  } else if (block == BlockKind::kSandwich || block == BlockKind::kPostNorm) {
    WEIR_ASSIGN(w.attn_post_norm, norm(p + "post_attention_norm"));
  }
  WEIR_TRY(c.arch->latent_attention ? load_latent(p, w.latent) : load_qkv(p, w));
  WEIR_ASSIGN(w.o, matrix(p + "attn_output.weight", c.dim, c.attention_dim()));
  WEIR_ASSIGN(w.o_bias, bias(p + "attn_output.bias", c.dim, BiasRule::kOptional));
  if (c.arch->sinks) {
    WEIR_ASSIGN(w.sinks, vector(p + "attn_sinks.weight", c.heads));
  }
  if (c.arch->qk_norm != QkNorm::kNone) {
    const bool row = c.arch->qk_norm == QkNorm::kRow;
    WEIR_ASSIGN(w.q_norm, vector(p + "attn_q_norm.weight", row ? c.q_dim() : c.head_dim));
    WEIR_ASSIGN(w.k_norm, vector(p + "attn_k_norm.weight", row ? c.kv_dim() : c.head_dim));
  } else if (has(p + "attn_q_norm.weight")) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor {}attn_q_norm.weight: weir knows {} without norms of q and k", p,
                      c.arch->name);
  }
  return {};
}

// suffix: "" or "_shexp". Without a gate tensor, an up of twice the width holds gate and up one
// below the other; of the single width it stands alone.
Result<FeedForward> Loader::dense_ffn(const std::string& p, const std::string& suffix,
                                      int32_t ffn_dim) {
  const Config& c = config_;
  const auto name = [&](const char* part, const char* kind) {
    return p + part + suffix + "." + kind;
  };
  FeedForward f;
  const gguf::Tensor* up = file_.find_tensor(name("ffn_up", "weight"));
  const bool fused = !has(name("ffn_gate", "weight")) && up != nullptr && up->shape.size() == 2 &&
                     up->shape[1] == 2 * static_cast<uint64_t>(ffn_dim);
  if (fused) {
    const auto n = static_cast<size_t>(ffn_dim);
    WEIR_ASSIGN(const gguf::Tensor* both, shaped(up->name, {c.dim, 2 * ffn_dim}));
    WEIR_ASSIGN(f.gate, pack(*both, 0, n));
    WEIR_ASSIGN(f.up, pack(*both, n, n));
    count();
  } else {
    if (has(name("ffn_gate", "weight"))) {
      WEIR_ASSIGN(f.gate, matrix(name("ffn_gate", "weight"), ffn_dim, c.dim));
    } else if (c.arch->norm == NormKind::kRms) {  // those without a gate all have layer norms
      return make_error(ErrorCode::kCorrupt, "tensor {} is missing; download or convert it again",
                        name("ffn_gate", "weight"));
    }
    WEIR_ASSIGN(f.up, matrix(name("ffn_up", "weight"), ffn_dim, c.dim));
  }
  WEIR_ASSIGN(f.down, matrix(name("ffn_down", "weight"), c.dim, ffn_dim));
  WEIR_ASSIGN(f.gate_bias, bias(name("ffn_gate", "bias"), ffn_dim, BiasRule::kOptional));
  WEIR_ASSIGN(f.up_bias, bias(name("ffn_up", "bias"), ffn_dim, BiasRule::kOptional));
  WEIR_ASSIGN(f.down_bias, bias(name("ffn_down", "bias"), c.dim, BiasRule::kOptional));
  return f;
}

// Biases [experts, n]; empty when the file has none.
Result<std::vector<float>> Loader::expert_biases(const std::string& name, int32_t n) {
  if (!has(name)) return std::vector<float>{};
  WEIR_ASSIGN(const gguf::Tensor* t, checked(name, {n, config_.expert.experts}));
  return decoded(*t);
}

Result<ExpertWeights> Loader::experts(const std::string& p) {
  const ExpertConfig& e = config_.expert;
  const int32_t dim = config_.dim;
  ExpertWeights w;
  WEIR_ASSIGN(const gguf::Tensor* router, checked(p + "ffn_gate_inp.weight", {dim, e.experts}));
  WEIR_ASSIGN(w.router, decoded(*router));
  WEIR_ASSIGN(w.router_bias, vector_if_present(p + "ffn_gate_inp.bias", e.experts));
  WEIR_ASSIGN(w.choice_bias, vector_if_present(p + "exp_probs_b.bias", e.experts));
  WEIR_ASSIGN(const gguf::Tensor* gate,
              shaped(p + "ffn_gate_exps.weight", {dim, e.ffn_dim, e.experts}));
  WEIR_ASSIGN(const gguf::Tensor* up,
              shaped(p + "ffn_up_exps.weight", {dim, e.ffn_dim, e.experts}));
  WEIR_ASSIGN(const gguf::Tensor* down,
              shaped(p + "ffn_down_exps.weight", {e.ffn_dim, dim, e.experts}));
  WEIR_ASSIGN(const auto gate_bias, expert_biases(p + "ffn_gate_exps.bias", e.ffn_dim));
  WEIR_ASSIGN(const auto up_bias, expert_biases(p + "ffn_up_exps.bias", e.ffn_dim));
  WEIR_ASSIGN(const auto down_bias, expert_biases(p + "ffn_down_exps.bias", dim));
  const auto part = [](const std::vector<float>& all, size_t i, size_t n) {
    if (all.empty()) return std::vector<float>{};
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(i * n);
    return std::vector<float>(at, at + static_cast<std::ptrdiff_t>(n));
  };
  const auto ffn = static_cast<size_t>(e.ffn_dim);
  const auto d = static_cast<size_t>(dim);
  for (size_t i = 0; i < static_cast<size_t>(e.experts); ++i) {
    FeedForward f;
    WEIR_ASSIGN(f.gate, pack(*gate, i * ffn, ffn));
    WEIR_ASSIGN(f.up, pack(*up, i * ffn, ffn));
    WEIR_ASSIGN(f.down, pack(*down, i * d, d));
    f.gate_bias = part(gate_bias, i, ffn);
    f.up_bias = part(up_bias, i, ffn);
    f.down_bias = part(down_bias, i, d);
    w.experts.push_back(std::move(f));
  }
  for (int i = 0; i < 3; ++i) count();
  if (e.shared_ffn_dim > 0) {
    WEIR_ASSIGN(w.shared, dense_ffn(p, "_shexp", e.shared_ffn_dim));
    if (has(p + "ffn_gate_inp_shexp.weight")) {
      const std::string name = p + "ffn_gate_inp_shexp.weight";
      const bool flat = file_.find_tensor(name)->shape.size() == 1;
      WEIR_ASSIGN(const gguf::Tensor* t, flat ? checked(name, {dim}) : checked(name, {dim, 1}));
      WEIR_ASSIGN(w.shared_gate, decoded(*t));
    }
  }
  return w;
}

Status Loader::load_ffn(const std::string& p, LayerWeights& w) {
  const Config& c = config_;
  if (c.arch->block == BlockKind::kPreNorm || c.arch->block == BlockKind::kSandwich) {
    WEIR_ASSIGN(w.ffn_norm, norm(p + std::string(c.arch->ffn_norm)));
  }
  if (c.arch->block == BlockKind::kNormAfter) {
    WEIR_ASSIGN(w.ffn_post_norm, norm(p + "layer_output_norm"));
  } else if (c.arch->block == BlockKind::kSandwich || c.arch->block == BlockKind::kPostNorm) {
    WEIR_ASSIGN(w.ffn_post_norm, norm(p + "post_ffw_norm"));
  }
  if (c.expert.experts > 0 && has(p + "ffn_gate_inp.weight")) {
    WEIR_ASSIGN(w.experts, experts(p));
    return {};
  }
  WEIR_ASSIGN(w.ffn, dense_ffn(p, "", c.ffn_dim));
  return {};
}

Status Loader::load_head(Weights& weights) {
  const Config& c = config_;
  const bool tied = !c.arch->encoder && !has("output.weight");
  const auto embedding = tied ? shaped("token_embd.weight", {c.dim, c.vocab_size})
                              : checked("token_embd.weight", {c.dim, c.vocab_size});
  WEIR_ASSIGN(weights.embedding, embedding);
  if (!quant::can_decode(weights.embedding->type)) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor token_embd.weight: type {} is not supported yet",
                      gguf::type_name(weights.embedding->type));
  }
  count();
  if (c.arch->encoder) {
    WEIR_TRY(load_encoder_embedding(weights));
    if (options_.beside) options_.beside();
  } else {
    WEIR_ASSIGN(weights.output, matrix(tied ? "token_embd.weight" : "output.weight", c.vocab_size,
                                       c.dim, options_.beside ? &options_.beside : nullptr));
    file_.release("output.weight");
    WEIR_ASSIGN(weights.output_norm, norm("output_norm"));
  }
  file_.release("token_embd.weight", gguf::File::Release::kReadLater);
  if (c.arch->learned_positions) {
    WEIR_ASSIGN(weights.positions, checked("position_embd.weight", {c.dim, c.context_tokens}));
    count();
  }
  return load_rope_factors(weights);
}

// What an encoder puts over its token embeddings. All of a text is of the first segment.
Status Loader::load_encoder_embedding(Weights& weights) {
  const std::string name = "token_types.weight";
  WEIR_ASSIGN(weights.embedding_norm, norm("token_embd_norm"));
  const gguf::Tensor* types = file_.find_tensor(name);
  if (types == nullptr) return {};
  const bool flat = types->shape.size() == 1;
  const int32_t segments = flat || types->shape.size() != 2 || types->shape[1] > kMaxSegments
                               ? 1
                               : static_cast<int32_t>(types->shape[1]);
  WEIR_ASSIGN(const gguf::Tensor* t,
              flat ? checked(name, {config_.dim}) : checked(name, {config_.dim, segments}));
  weights.token_type.resize(static_cast<size_t>(config_.dim));
  const size_t row_bytes = t->data.size() / static_cast<size_t>(segments);
  if (auto status = quant::decode(t->type, t->data.first(row_bytes), weights.token_type);
      !status.ok())
    return status.error().with_context(fmt::format("tensor {}", name));
  count();
  return {};
}

Status Loader::load_rope_factors(Weights& weights) {
  std::string name = "rope_freqs.weight";
  if (has("rope_factors_long.weight")) {
    name = context_tokens_ > config_.rope.original_context_tokens ? "rope_factors_long.weight"
                                                                  : "rope_factors_short.weight";
  }
  WEIR_ASSIGN(weights.rope_factors, vector_if_present(name, config_.rope.dims / 2));
  for (const float f : weights.rope_factors) {
    if (!(f > 0)) {
      return make_error(ErrorCode::kCorrupt, "tensor {} holds {}; factors must be above 0", name,
                        f);
    }
  }
  return {};
}

Result<Weights> Loader::load() {
  Weights weights;
  WEIR_TRY(load_head(weights));
  weights.layers.resize(static_cast<size_t>(config_.layers));
  for (int32_t i = 0; i < config_.layers; ++i) {
    const std::string prefix = fmt::format("blk.{}.", i);
    WEIR_TRY(load_attention(prefix, weights.layers[static_cast<size_t>(i)]));
    WEIR_TRY(load_ffn(prefix, weights.layers[static_cast<size_t>(i)]));
    file_.release(prefix);  // so that file and packed weights are never both in memory
  }
  weights.packed_bytes = packed_bytes_;
  weights.arena = std::move(arena_);
  return weights;
}

}  // namespace

Result<Weights> load_weights(const gguf::File& file, const Config& config,
                             kernels::ThreadPool& pool, const WeightOptions& options) {
  return Loader(file, config, pool, options).load();
}

}  // namespace weir::model
