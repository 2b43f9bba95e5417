#include "model/weights.h"

#include <initializer_list>
#include <string>

#include "model/finite.h"
#include "quant/codec.h"

namespace weir::model {
namespace {

// One load: looks tensors up, checks them and packs.
class Loader {
 public:
  Loader(const gguf::File& file, const Config& config, kernels::Isa isa, kernels::ThreadPool& pool,
         const std::function<void(size_t, size_t)>& progress)
      : file_(file), config_(config), isa_(isa), pool_(pool), progress_(progress) {}

  Result<Weights> load();

 private:
  Result<const gguf::Tensor*> checked(const std::string& name,
                                      std::initializer_list<int32_t> shape);
  Result<std::vector<float>> vector(const std::string& name, int32_t n);
  Result<std::vector<float>> vector_if_present(const std::string& name, int32_t n);
  Result<kernels::PackedMatrix> matrix(const std::string& name, int32_t rows, int32_t cols);
  Result<std::vector<float>> bias(const std::string& name, int32_t n, BiasRule rule);
  Status load_attention(const std::string& prefix, LayerWeights& layer);
  Status load_ffn(const std::string& prefix, LayerWeights& layer);
  Status load_head(Weights& weights);
  void count() {
    if (progress_) progress_(++done_, file_.tensors().size());
  }

  const gguf::File& file_;
  const Config& config_;
  kernels::Isa isa_;
  kernels::ThreadPool& pool_;
  const std::function<void(size_t, size_t)>& progress_;
  size_t done_ = 0;
  uint64_t packed_bytes_ = 0;
};

// shape: in file order, the contiguous dimension first.
Result<const gguf::Tensor*> Loader::checked(const std::string& name,
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
  WEIR_TRY(check_finite(*t));
  return t;
}

Result<std::vector<float>> Loader::vector(const std::string& name, int32_t n) {
  WEIR_ASSIGN(const gguf::Tensor* t, checked(name, {n}));
  std::vector<float> values(static_cast<size_t>(n));
  if (auto status = quant::decode(t->type, t->data, values); !status.ok()) {
    return status.error().with_context(fmt::format("tensor {}", name));
  }
  count();
  return values;
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

Result<kernels::PackedMatrix> Loader::matrix(const std::string& name, int32_t rows, int32_t cols) {
  WEIR_ASSIGN(const gguf::Tensor* t, checked(name, {cols, rows}));
  auto packed = kernels::PackedMatrix::pack(t->type, t->data, static_cast<size_t>(rows),
                                            static_cast<size_t>(cols), isa_, pool_);
  if (!packed.ok()) return packed.error().with_context(fmt::format("tensor {}", name));
  packed_bytes_ += packed->bytes();
  count();
  return packed;
}

Status Loader::load_attention(const std::string& p, LayerWeights& w) {
  const Config& c = config_;
  WEIR_ASSIGN(w.attn_norm, vector(p + "attn_norm.weight", c.dim));
  WEIR_ASSIGN(w.q, matrix(p + "attn_q.weight", c.q_dim(), c.dim));
  WEIR_ASSIGN(w.k, matrix(p + "attn_k.weight", c.kv_dim(), c.dim));
  WEIR_ASSIGN(w.v, matrix(p + "attn_v.weight", c.kv_dim(), c.dim));
  WEIR_ASSIGN(w.o, matrix(p + "attn_output.weight", c.dim, c.q_dim()));
  WEIR_ASSIGN(w.q_bias, bias(p + "attn_q.bias", c.q_dim(), c.arch->qkv_bias));
  WEIR_ASSIGN(w.k_bias, bias(p + "attn_k.bias", c.kv_dim(), c.arch->qkv_bias));
  WEIR_ASSIGN(w.v_bias, bias(p + "attn_v.bias", c.kv_dim(), c.arch->qkv_bias));
  WEIR_ASSIGN(w.o_bias, bias(p + "attn_output.bias", c.dim, BiasRule::kOptional));
  if (c.arch->qk_norm) {
    WEIR_ASSIGN(w.q_norm, vector(p + "attn_q_norm.weight", c.head_dim));
    WEIR_ASSIGN(w.k_norm, vector(p + "attn_k_norm.weight", c.head_dim));
  }
  return {};
}

Status Loader::load_ffn(const std::string& p, LayerWeights& w) {
  const Config& c = config_;
  WEIR_ASSIGN(w.ffn_norm, vector(p + "ffn_norm.weight", c.dim));
  WEIR_ASSIGN(w.gate, matrix(p + "ffn_gate.weight", c.ffn_dim, c.dim));
  WEIR_ASSIGN(w.up, matrix(p + "ffn_up.weight", c.ffn_dim, c.dim));
  WEIR_ASSIGN(w.down, matrix(p + "ffn_down.weight", c.dim, c.ffn_dim));
  WEIR_ASSIGN(w.gate_bias, bias(p + "ffn_gate.bias", c.ffn_dim, BiasRule::kOptional));
  WEIR_ASSIGN(w.up_bias, bias(p + "ffn_up.bias", c.ffn_dim, BiasRule::kOptional));
  WEIR_ASSIGN(w.down_bias, bias(p + "ffn_down.bias", c.dim, BiasRule::kOptional));
  return {};
}

Status Loader::load_head(Weights& weights) {
  const Config& c = config_;
  WEIR_ASSIGN(weights.embedding, checked("token_embd.weight", {c.dim, c.vocab_size}));
  if (!quant::can_decode(weights.embedding->type)) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor token_embd.weight: type {} is not supported yet",
                      gguf::type_name(weights.embedding->type));
  }
  count();
  const bool tied = file_.find_tensor("output.weight") == nullptr;
  WEIR_ASSIGN(weights.output,
              matrix(tied ? "token_embd.weight" : "output.weight", c.vocab_size, c.dim));
  WEIR_ASSIGN(weights.output_norm, vector("output_norm.weight", c.dim));
  WEIR_ASSIGN(weights.rope_factors, vector_if_present("rope_freqs.weight", c.rope.dims / 2));
  for (const float f : weights.rope_factors) {
    if (!(f > 0)) {
      return make_error(ErrorCode::kCorrupt,
                        "tensor rope_freqs.weight holds {}; factors must be above 0", f);
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
  }
  weights.packed_bytes = packed_bytes_;
  return weights;
}

}  // namespace

Result<Weights> load_weights(const gguf::File& file, const Config& config, kernels::Isa isa,
                             kernels::ThreadPool& pool,
                             const std::function<void(size_t, size_t)>& progress) {
  return Loader(file, config, isa, pool, progress).load();
}

}  // namespace weir::model
