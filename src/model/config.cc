#include "model/config.h"

#include <array>
#include <cmath>

namespace weir::model {
namespace {

// Bounds on what a file may ask for. The largest published dense models stay below each by a factor
// of four.
constexpr uint64_t kMaxLayers = 1024;
constexpr uint64_t kMaxDim = 1 << 17;
constexpr uint64_t kMaxFfnDim = 1 << 20;
constexpr uint64_t kMaxHeads = 4096;
constexpr uint64_t kMaxHeadDim = 1024;
constexpr uint64_t kMaxContextTokens = uint64_t{1} << 27;
constexpr uint64_t kMaxVocab = 1 << 22;
constexpr uint64_t kMaxExperts = 4096;
constexpr double kMaxScale = 1e6;

// Reads keys below "<architecture>." with bounds.
class Keys {
 public:
  Keys(const gguf::File& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }
  bool has(std::string_view name) const { return file_.find(key(name)) != nullptr; }
  const gguf::File& file() const { return file_; }

  Result<int32_t> count(std::string_view name, uint64_t max) const {
    const std::string full = key(name);
    WEIR_ASSIGN(const uint64_t value, file_.get_uint(full));
    return bounded(full, value, max);
  }
  Result<int32_t> count_or(std::string_view name, uint64_t max, uint64_t fallback) const {
    const std::string full = key(name);
    WEIR_ASSIGN(const uint64_t value, file_.uint_or(full, fallback));
    return bounded(full, value, max);
  }
  // 0 is allowed and stands for "none".
  Result<int32_t> count_or_zero(std::string_view name, uint64_t max, uint64_t fallback) const {
    const std::string full = key(name);
    WEIR_ASSIGN(const uint64_t value, file_.uint_or(full, fallback));
    if (value == 0) return int32_t{0};
    return bounded(full, value, max);
  }
  Result<float> positive_or_zero(std::string_view name) const {
    const std::string full = key(name);
    WEIR_ASSIGN(const double value, file_.float_or(full, 0.0));
    if (!std::isfinite(value) || value < 0 || value > kMaxScale) {
      return make_error(ErrorCode::kCorrupt, "key {} is {}; it must be between 0 and {}", full,
                        value, kMaxScale);
    }
    return static_cast<float>(value);
  }
  Result<double> positive_or(std::string_view name, double fallback) const {
    const std::string full = key(name);
    WEIR_ASSIGN(const double value, file_.float_or(full, fallback));
    if (!std::isfinite(value) || value <= 0) {
      return make_error(ErrorCode::kCorrupt, "key {} is {}; it must be a finite number above 0",
                        full, value);
    }
    return value;
  }

 private:
  static Result<int32_t> bounded(const std::string& full, uint64_t value, uint64_t max) {
    if (value < 1 || value > max) {
      return make_error(ErrorCode::kCorrupt, "key {} is {}; it must be between 1 and {}", full,
                        value, max);
    }
    return static_cast<int32_t>(value);
  }
  const gguf::File& file_;
  std::string prefix_;
};

Status read_rope(const gguf::File& file, const Keys& keys, Config& c) {
  WEIR_ASSIGN(c.rope.dims, keys.count_or("rope.dimension_count", kMaxHeadDim,
                                         static_cast<uint64_t>(c.head_dim)));
  if (c.rope.dims > c.head_dim || c.rope.dims % 2 != 0) {
    return make_error(ErrorCode::kCorrupt,
                      "key {} is {}; it must be even and at most the head dimension {}",
                      keys.key("rope.dimension_count"), c.rope.dims, c.head_dim);
  }
  WEIR_ASSIGN(c.rope.base, keys.positive_or("rope.freq_base", 10000.0));
  WEIR_ASSIGN(c.rope.original_context_tokens,
              keys.count_or("rope.scaling.original_context_length", kMaxContextTokens,
                            static_cast<uint64_t>(c.context_tokens)));
  // Files from before rope.scaling.* carry the linear factor as rope.scale_linear. No type means
  // linear.
  WEIR_ASSIGN(const double old_factor, keys.positive_or("rope.scale_linear", 1.0));
  WEIR_ASSIGN(c.rope.factor, file.float_or(keys.key("rope.scaling.factor"), old_factor));
  if (c.rope.factor == 0.0) c.rope.factor = 1.0;  // converters write 0 for "none"
  if (!std::isfinite(c.rope.factor) || c.rope.factor < 0) {
    return make_error(ErrorCode::kCorrupt, "key {} is {}; it must be a finite number above 0",
                      keys.key("rope.scaling.factor"), c.rope.factor);
  }
  WEIR_ASSIGN(c.rope.attention_factor, keys.positive_or("rope.scaling.attn_factor", 1.0));
  WEIR_ASSIGN(c.rope.yarn_beta_fast, keys.positive_or("rope.scaling.yarn_beta_fast", 32.0));
  WEIR_ASSIGN(c.rope.yarn_beta_slow, keys.positive_or("rope.scaling.yarn_beta_slow", 1.0));
  c.rope.yarn_truncate = c.arch->yarn_truncate;
  WEIR_ASSIGN(const std::string_view type, file.string_or(keys.key("rope.scaling.type"), "linear"));
  if (type == "none") {
    c.rope.scaling = RopeScaling::kNone;
    c.rope.factor = 1.0;
  } else if (type == "linear") {
    c.rope.scaling = c.rope.factor == 1.0 ? RopeScaling::kNone : RopeScaling::kLinear;
  } else if (type == "yarn") {
    c.rope.scaling = RopeScaling::kYarn;
  } else {
    return make_error(ErrorCode::kUnsupported, "key {} is \"{}\"; weir knows none, linear and yarn",
                      keys.key("rope.scaling.type"), type);
  }
  c.window_rope = c.rope;
  if (c.arch->window_rope_base > 0) {
    c.window_rope.scaling = RopeScaling::kNone;
    c.window_rope.factor = 1.0;
    WEIR_ASSIGN(c.window_rope.base,
                keys.positive_or("rope.freq_base_swa", c.arch->window_rope_base));
  }
  return {};
}

// Windows, soft caps and the scales of embedding, attention, residual and logits. 0 in a file means
// "none" for each.
Status read_scales(const Keys& keys, Config& c) {
  WEIR_ASSIGN(c.window, keys.count_or_zero("attention.sliding_window", kMaxContextTokens,
                                           static_cast<uint64_t>(c.arch->default_window)));
  WEIR_ASSIGN(c.attention_softcap, keys.positive_or_zero("attn_logit_softcapping"));
  WEIR_ASSIGN(c.logit_softcap, keys.positive_or_zero("final_logit_softcapping"));
  double width = c.arch->wide_scale_layers == c.layers ? c.dim / c.heads : c.head_dim;
  if (c.arch->latent_attention) width = c.latent.plain_dim + c.rope.dims;
  WEIR_ASSIGN(c.attention_scale, keys.positive_or_zero("attention.scale"));
  if (c.attention_scale == 0) c.attention_scale = static_cast<float>(1.0 / std::sqrt(width));
  WEIR_ASSIGN(c.embedding_scale, keys.positive_or_zero("embedding_scale"));
  if (c.embedding_scale == 0) c.embedding_scale = 1.0F;
  if (c.arch->scale_embedding) c.embedding_scale = std::sqrt(static_cast<float>(c.dim));
  WEIR_ASSIGN(c.residual_scale, keys.positive_or_zero("residual_scale"));
  if (c.residual_scale == 0) c.residual_scale = 1.0F;
  WEIR_ASSIGN(c.logit_scale, keys.positive_or_zero("logit_scale"));
  if (c.logit_scale == 0) c.logit_scale = 1.0F;
  if (c.arch->divide_logits) c.logit_scale = 1.0F / c.logit_scale;
  return {};
}

// expert_gating_func is llama.cpp's llama_expert_gating_func_type; files from before it take
// softmaxes.
Result<Routing> read_gating(const Keys& keys) {
  WEIR_ASSIGN(const uint64_t gating, keys.file().uint_or(keys.key("expert_gating_func"), 1));
  WEIR_ASSIGN(const bool normalized, keys.file().bool_or(keys.key("expert_weights_norm"), false));
  switch (gating) {
    case 0:
    case 1:
      return normalized ? Routing::kSoftmaxRenormalized : Routing::kSoftmax;
    case 2:
      return normalized ? Routing::kSigmoidRenormalized : Routing::kSigmoid;
    default:
      return make_error(ErrorCode::kUnsupported,
                        "key {} is {}; weir knows 1 (softmax) and 2 (sigmoid)",
                        keys.key("expert_gating_func"), gating);
  }
}

Status read_routing(const Keys& keys, ExpertConfig& e) {
  RouteRule& r = e.route;
  WEIR_ASSIGN(r.routing, read_gating(keys));
  WEIR_ASSIGN(r.scale, keys.positive_or_zero("expert_weights_scale"));
  if (r.scale == 0) r.scale = 1.0F;
  const auto experts = static_cast<uint64_t>(e.experts);
  WEIR_ASSIGN(r.groups, keys.count_or_zero("expert_group_count", experts, 1));
  r.groups = std::max(1, r.groups);
  WEIR_ASSIGN(r.groups_used,
              keys.count_or("expert_group_used_count", static_cast<uint64_t>(r.groups),
                            static_cast<uint64_t>(r.groups)));
  if (e.experts % r.groups != 0 || e.used > e.experts / r.groups * r.groups_used) {
    return make_error(
        ErrorCode::kCorrupt,
        "key {} is {}; it must divide the {} experts, and {} of these groups must hold the {} used",
        keys.key("expert_group_count"), r.groups, e.experts, r.groups_used, e.used);
  }
  WEIR_ASSIGN(const int32_t shared, keys.count_or_zero("expert_shared_count", kMaxExperts, 0));
  if (shared > 0 && e.shared_ffn_dim == 0) {
    if (static_cast<uint64_t>(shared) * static_cast<uint64_t>(e.ffn_dim) > kMaxFfnDim) {
      return make_error(ErrorCode::kCorrupt,
                        "key {} is {}; with {} values each they pass the bound of {}",
                        keys.key("expert_shared_count"), shared, e.ffn_dim, kMaxFfnDim);
    }
    e.shared_ffn_dim = shared * e.ffn_dim;
  }
  return {};
}

Status read_experts(const Keys& keys, Config& c) {
  ExpertConfig& e = c.expert;
  e.route.routing = c.arch->routing;
  WEIR_ASSIGN(e.experts, keys.count_or_zero("expert_count", kMaxExperts, 0));
  if (e.experts == 0) return {};
  WEIR_ASSIGN(e.used, keys.count("expert_used_count", static_cast<uint64_t>(e.experts)));
  WEIR_ASSIGN(e.ffn_dim, keys.count_or("expert_feed_forward_length", kMaxFfnDim,
                                       static_cast<uint64_t>(c.ffn_dim)));
  WEIR_ASSIGN(e.shared_ffn_dim,
              keys.count_or_zero("expert_shared_feed_forward_length", kMaxFfnDim, 0));
  return c.arch->routing_keys ? read_routing(keys, e) : Status{};
}

// Files that keep the expansion of keys and values in one tensor give the widths of a head as
// key_length and value_length; those that split it give the latent's there and the head's as *_mla.
Status read_latent(const Keys& keys, Config& c) {
  LatentConfig& l = c.latent;
  if (keys.has("attention.temperature_scale")) {
    return make_error(ErrorCode::kUnsupported,
                      "key {}: attention that is scaled with the position is not supported",
                      keys.key("attention.temperature_scale"));
  }
  WEIR_ASSIGN(l.q_rank, keys.count_or_zero("attention.q_lora_rank", kMaxDim, 0));
  WEIR_ASSIGN(l.kv_rank, keys.count("attention.kv_lora_rank", kMaxHeadDim));
  WEIR_ASSIGN(const int32_t rotated, keys.count("rope.dimension_count", kMaxHeadDim));
  const bool split = keys.has("attention.key_length_mla");
  const char* key_name = split ? "attention.key_length_mla" : "attention.key_length";
  WEIR_ASSIGN(const int32_t key_dim, keys.count(key_name, kMaxHeadDim));
  WEIR_ASSIGN(
      l.value_dim,
      keys.count(split ? "attention.value_length_mla" : "attention.value_length", kMaxHeadDim));
  if (key_dim <= rotated) {
    return make_error(ErrorCode::kCorrupt,
                      "key {} is {}; it must be above the {} rotated dimensions",
                      keys.key(key_name), key_dim, rotated);
  }
  l.plain_dim = key_dim - rotated;
  c.kv_heads = 1;
  c.head_dim = l.kv_rank + rotated;
  c.value_dim = l.kv_rank;
  return {};
}

// YaRN of latent attention: scores, not the rotation, carry the factor, squared. The file holds a
// tenth of the models' mscale_all_dim (their mscale is the same).
Status scale_latent_yarn(const Keys& keys, Config& c) {
  WEIR_ASSIGN(const float multiplier, keys.positive_or_zero("rope.scaling.yarn_log_multiplier"));
  if (c.rope.scaling != RopeScaling::kYarn || multiplier == 0 || c.rope.factor <= 1) return {};
  const double stretch = std::log(c.rope.factor);
  const double mscale = 1.0 + static_cast<double>(multiplier) * stretch;
  c.attention_scale *= static_cast<float>(mscale * mscale);
  c.rope.attention_factor /= 1.0 + 0.1 * stretch;  // RopeTable multiplies with it
  return {};
}

Status read_heads(const Keys& keys, Config& c) {
  WEIR_ASSIGN(c.heads, keys.count("attention.head_count", kMaxHeads));
  if (c.arch->latent_attention) return read_latent(keys, c);
  WEIR_ASSIGN(c.kv_heads,
              keys.count_or("attention.head_count_kv", kMaxHeads, static_cast<uint64_t>(c.heads)));
  if (c.heads % c.kv_heads != 0) {
    return make_error(ErrorCode::kCorrupt, "key {} is {}; it must divide the {} query heads",
                      keys.key("attention.head_count_kv"), c.kv_heads, c.heads);
  }
  if (!keys.has("attention.key_length") && c.dim % c.heads != 0) {
    return make_error(ErrorCode::kCorrupt, "key {} is {}; it must divide the embedding length {}",
                      keys.key("attention.head_count"), c.heads, c.dim);
  }
  const auto fallback = static_cast<uint64_t>(std::max(1, c.dim / c.heads));
  WEIR_ASSIGN(c.head_dim, keys.count_or("attention.key_length", kMaxHeadDim, fallback));
  WEIR_ASSIGN(c.value_dim, keys.count_or("attention.value_length", kMaxHeadDim,
                                         static_cast<uint64_t>(c.head_dim)));
  if (c.value_dim != c.head_dim) {
    return make_error(ErrorCode::kUnsupported, "{} is {} and {} is {}; weir needs them equal",
                      keys.key("attention.key_length"), c.head_dim,
                      keys.key("attention.value_length"), c.value_dim);
  }
  return {};
}

// pooling_type: 0 none, 1 mean, 2 cls, 3 last, 4 rank (enum llama_pooling_type of llama.h).
Status read_pooling(const gguf::File& file, const Keys& keys, Config& c) {
  constexpr std::array kTypes{Pooling::kNone, Pooling::kMean, Pooling::kCls, Pooling::kLast};
  const std::string key = keys.key("pooling_type");
  if (file.find(key) != nullptr) {
    WEIR_ASSIGN(const uint64_t type, file.get_uint(key));
    if (type >= kTypes.size()) {
      return make_error(ErrorCode::kUnsupported,
                        "key {} is {}; weir knows 0 (none), 1 (mean), 2 (cls) and 3 (last)", key,
                        type);
    }
    c.pooling = kTypes[type];
  }
  WEIR_ASSIGN(const bool causal, file.bool_or(keys.key("attention.causal"), !c.arch->encoder));
  if (causal == c.arch->encoder) {
    return make_error(ErrorCode::kUnsupported, "key {} is {}; weir knows {} only the other way",
                      keys.key("attention.causal"), causal, c.arch->name);
  }
  return {};
}

}  // namespace

Result<Config> read_config(const gguf::File& file) {
  WEIR_ASSIGN(const std::string_view arch_name, file.get_string("general.architecture"));
  Config c;
  c.arch = find_architecture(arch_name);
  if (c.arch == nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      "architecture \"{}\" is not known; this weir runs: {}", arch_name,
                      known_architectures());
  }
  const Keys keys(file, arch_name);
  WEIR_ASSIGN(const std::string_view name, file.string_or("general.name", ""));
  c.name = std::string(name);
  WEIR_ASSIGN(c.layers, keys.count("block_count", kMaxLayers));
  WEIR_ASSIGN(c.dim, keys.count("embedding_length", kMaxDim));
  WEIR_ASSIGN(c.ffn_dim, keys.count("feed_forward_length", kMaxFfnDim));
  WEIR_ASSIGN(c.context_tokens, keys.count("context_length", kMaxContextTokens));
  // Layers after the others that guess a token ahead; they are not run.
  WEIR_ASSIGN(const int32_t guessing, keys.count_or_zero("nextn_predict_layers", kMaxLayers, 0));
  if (guessing >= c.layers) {
    return make_error(ErrorCode::kCorrupt, "key {} is {}; it must be below the {} layers",
                      keys.key("nextn_predict_layers"), guessing, c.layers);
  }
  c.layers -= guessing;
  WEIR_TRY(read_heads(keys, c));
  const bool rms = c.arch->norm == NormKind::kRms;
  WEIR_ASSIGN(const double epsilon,
              keys.positive_or(
                  rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 1e-5));
  c.norm_epsilon = static_cast<float>(epsilon);
  WEIR_TRY(read_rope(file, keys, c));
  WEIR_TRY(read_scales(keys, c));
  if (c.arch->latent_attention) WEIR_TRY(scale_latent_yarn(keys, c));
  WEIR_TRY(read_experts(keys, c));
  WEIR_TRY(read_pooling(file, keys, c));
  if (file.find("weir.rotation.rotations") != nullptr) {
    WEIR_ASSIGN(c.rotations, file.get_string("weir.rotation.rotations"));
  }
  const gguf::Tensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return make_error(ErrorCode::kCorrupt,
                      "tensor token_embd.weight is missing; the file is not a complete model");
  }
  if (embedding->shape.size() != 2 || embedding->shape[1] < 1 || embedding->shape[1] > kMaxVocab) {
    return make_error(ErrorCode::kCorrupt,
                      "tensor token_embd.weight must be [{}, vocabulary of 1 to {}]", c.dim,
                      kMaxVocab);
  }
  c.vocab_size = static_cast<int32_t>(embedding->shape[1]);
  return c;
}

}  // namespace weir::model
