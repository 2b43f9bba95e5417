#include "checkpoint/hf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <tuple>
#include <utility>

namespace weir::checkpoint {
namespace {

using text::Json;

constexpr int64_t kMaxCount = INT32_MAX;
constexpr size_t kMaxFactors = 4096;

// An object of config.json with typed access; "null" counts as absent, as in transformers.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  const Json* find(std::string_view key) const {
    const Json* value = json_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  Result<std::optional<int64_t>> count_if(std::string_view key) const {
    const Json* v = find(key);
    if (v == nullptr) return std::optional<int64_t>();
    if (!v->is_int() || v->as_int() < 0 || v->as_int() > kMaxCount) {
      return wrong(key, fmt::format("an integer from 0 to {}", kMaxCount));
    }
    return std::optional<int64_t>(v->as_int());
  }
  Result<int64_t> count(std::string_view key) const {
    WEIR_ASSIGN(const auto value, count_if(key));
    if (!value) return make_error(ErrorCode::kCorrupt, "{}{} is missing", where_, key);
    return *value;
  }
  Result<std::optional<double>> number_if(std::string_view key) const {
    const Json* v = find(key);
    if (v == nullptr) return std::optional<double>();
    if (!v->is_number() || !std::isfinite(v->as_double())) return wrong(key, "a finite number");
    return std::optional<double>(v->as_double());
  }
  Result<double> number(std::string_view key) const {
    WEIR_ASSIGN(const auto value, number_if(key));
    if (!value) return make_error(ErrorCode::kCorrupt, "{}{} is missing", where_, key);
    return *value;
  }
  Result<std::optional<bool>> flag_if(std::string_view key) const {
    const Json* v = find(key);
    if (v == nullptr) return std::optional<bool>();
    if (!v->is_bool()) return wrong(key, "true or false");
    return std::optional<bool>(v->as_bool());
  }
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const {
    const Json* v = find(key);
    if (v == nullptr) return std::string(fallback);
    if (!v->is_string()) return wrong(key, "a string");
    return v->as_string();
  }
  Result<std::vector<float>> numbers(std::string_view key) const {
    const Json* v = find(key);
    std::vector<float> out;
    if (v == nullptr || !v->is_array() || v->size() > kMaxFactors) {
      return wrong(key, fmt::format("a list of at most {} numbers", kMaxFactors));
    }
    for (const Json& item : v->items()) {
      if (!item.is_number()) return wrong(key, "a list of numbers");
      out.push_back(static_cast<float>(item.as_double()));
    }
    return out;
  }
  [[nodiscard]] Error wrong(std::string_view key, std::string_view wanted) const {
    return make_error(ErrorCode::kCorrupt, "{}{} must be {}", where_, key, wanted);
  }
  [[nodiscard]] Error unsupported(std::string_view key, std::string_view why) const {
    const Json* v = find(key);
    return make_error(ErrorCode::kUnsupported, "{}{} is {}: {}", where_, key,
                      v == nullptr ? "absent" : v->dump().substr(0, 80), why);
  }

 private:
  const Json& json_;
  std::string where_;
};

class Converter {
 public:
  Converter(const Json& json, gguf::Writer& writer) : f_(json, ""), w_(writer) {}

  Result<HfConfig> run() {
    WEIR_TRY(find_family());
    w_.set_string("general.architecture", c_.family->architecture);
    WEIR_TRY(sizes());
    WEIR_TRY(activation());
    if (c_.family->encoder) {
      WEIR_TRY(encoder());
      return std::move(c_);
    }
    WEIR_TRY(rope());
    WEIR_TRY(windows());
    WEIR_TRY(scales());
    WEIR_TRY(experts());
    WEIR_ASSIGN(c_.tied, f_.flag_if("tie_word_embeddings"));
    return std::move(c_);
  }

 private:
  std::string key(std::string_view name) const {
    return fmt::format("{}.{}", c_.family->architecture, name);
  }
  void set_count(std::string_view name, int64_t value) {
    w_.set_uint(key(name), static_cast<uint32_t>(value));
  }
  void set_number(std::string_view name, double value) {
    w_.set_float(key(name), static_cast<float>(value));
  }
  bool is(std::string_view model_type) const { return c_.family->model_type == model_type; }

  Status find_family() {
    WEIR_ASSIGN(const std::string type, f_.text_or("model_type", ""));
    c_.family = checkpoint::find_family(type);
    if (c_.family == nullptr) {
      return make_error(
          ErrorCode::kUnsupported, "model_type {} is not supported in this format; supported: {}",
          text::json_quote(std::string_view(type).substr(0, 80)), known_model_types());
    }
    for (const char* name : {"quantization_config", "compression_config"}) {
      const Json* q = f_.find(name);
      if (q == nullptr) continue;
      const Json* method = q->find("quant_method");
      // Only experts are quantized so, and their tensors say it themselves (families.h).
      if (is("gpt_oss") && method != nullptr && *method == Json("mxfp4")) continue;
      WEIR_ASSIGN(c_.quantization, read_quantization_config(*q));
    }
    return {};
  }

  // The field that this model type has for one of the usual names; falcon has two spellings.
  std::string_view field(std::string_view usual) const {
    constexpr std::pair<std::string_view, std::string_view> kGpt2[] = {
        {"num_hidden_layers", "n_layer"},
        {"hidden_size", "n_embd"},
        {"intermediate_size", "n_inner"},
        {"max_position_embeddings", "n_positions"},
        {"num_attention_heads", "n_head"}};
    constexpr std::pair<std::string_view, std::string_view> kFalcon[] = {
        {"num_hidden_layers", "n_layer"},
        {"intermediate_size", "ffn_hidden_size"},
        {"num_attention_heads", "n_head"}};
    const auto find = [&](const auto& table) {
      for (const auto& [name, own] : table) {
        if (name == usual && f_.find(own) != nullptr) return own;
      }
      return usual;
    };
    if (is("gpt2")) return find(kGpt2);
    return is("falcon") ? find(kFalcon) : usual;
  }

  // Falcon-7B: one KV head, feed-forward part beside attention, rotation.
  Status falcon_variant() const {
    const std::pair<const char*, bool> kKnown[] = {{"multi_query", true},
                                                   {"parallel_attn", true},
                                                   {"new_decoder_architecture", false},
                                                   {"alibi", false},
                                                   {"bias", false}};
    for (const auto& [name, value] : kKnown) {
      WEIR_ASSIGN(const auto flag, f_.flag_if(name));
      if (flag.value_or(value) != value)
        return f_.unsupported(name, "only the form of Falcon-7B is known");
    }
    return {};
  }

  Status sizes() {
    const bool wide = is("gpt2") || is("falcon");  // the feed-forward part is 4 times the model
    WEIR_ASSIGN(c_.layers, f_.count(field("num_hidden_layers")));
    WEIR_ASSIGN(const int64_t dim, f_.count(field("hidden_size")));
    WEIR_ASSIGN(const auto inner, f_.count_if(field("intermediate_size")));
    if (!inner && !wide) return f_.count("intermediate_size").error();
    const int64_t ffn = inner.value_or(4 * dim);
    WEIR_ASSIGN(const auto positions, f_.count_if(field("max_position_embeddings")));
    if (!positions && !is("falcon")) return f_.count(field("max_position_embeddings")).error();
    context_ = positions.value_or(2048);
    WEIR_ASSIGN(c_.heads, f_.count(field("num_attention_heads")));
    WEIR_ASSIGN(auto kv_heads, f_.count_if("num_key_value_heads"));
    if (is("falcon")) {
      WEIR_TRY(falcon_variant());
      kv_heads = 1;
    }
    WEIR_ASSIGN(const auto head_dim, f_.count_if("head_dim"));
    const bool rms = c_.family->layer_norm.empty();
    WEIR_ASSIGN(const double epsilon,
                f_.number(rms ? std::string_view("rms_norm_eps") : c_.family->layer_norm));
    c_.kv_heads = kv_heads.value_or(c_.heads);
    if (c_.heads == 0 || c_.kv_heads == 0) {
      return f_.wrong(c_.heads == 0 ? "num_attention_heads" : "num_key_value_heads", "at least 1");
    }
    if (is("cohere")) {  // trained on longer contexts than the positions that it names
      WEIR_ASSIGN(const auto longest, f_.count_if("model_max_length"));
      context_ = longest.value_or(context_);
    }
    head_dim_ = head_dim.value_or(dim / c_.heads);
    set_count("block_count", c_.layers);
    set_count("context_length", context_);
    set_count("embedding_length", dim);
    set_count("feed_forward_length", ffn);
    set_count("attention.head_count", c_.heads);
    set_count("attention.head_count_kv", c_.kv_heads);
    set_number(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", epsilon);
    if (c_.family->latent) return latent();
    set_count("attention.key_length", head_dim_);
    set_count("attention.value_length", head_dim_);
    return {};
  }

  // Keys and values are expanded by one tensor, as in GGUF files from before it was split.
  Status latent() {
    WEIR_ASSIGN(const auto q_rank, f_.count_if("q_lora_rank"));
    WEIR_ASSIGN(const int64_t kv_rank, f_.count("kv_lora_rank"));
    WEIR_ASSIGN(const int64_t plain, f_.count("qk_nope_head_dim"));
    WEIR_ASSIGN(const int64_t rotated, f_.count("qk_rope_head_dim"));
    WEIR_ASSIGN(const int64_t value, f_.count("v_head_dim"));
    WEIR_ASSIGN(const auto pairs, f_.flag_if("rope_interleave"));
    if (pairs == false) return f_.unsupported("rope_interleave", "only true is known");
    set_count("attention.q_lora_rank", q_rank.value_or(0));
    set_count("attention.kv_lora_rank", kv_rank);
    set_count("attention.key_length", plain + rotated);
    set_count("attention.value_length", value);
    head_dim_ = rotated;  // what rotates of a head does so as a whole
    return {};
  }

  Status activation() {
    const char* name = f_.find("hidden_activation") != nullptr ? "hidden_activation" : "hidden_act";
    const char* own = c_.family->gelu ? "gelu_pytorch_tanh" : "silu";
    if (is("gpt2")) name = "activation_function", own = "gelu_new";
    if (is("falcon")) name = "activation", own = "gelu";
    if (c_.family->encoder) own = "gelu";
    WEIR_ASSIGN(const std::string act, f_.text_or(name, own));
    // Gemma's first files say "gelu" and mean the one with tanh, as transformers reads them.
    const bool gemma = c_.family->architecture.starts_with("gemma");
    const bool known = act == own || (gemma && act == "gelu");
    if (!known)
      return f_.unsupported(name, "another activation than this model type is known with");
    for (const auto& [part, value] : {std::pair{"swiglu_limit", 7.0}, {"swiglu_alpha", 1.702}}) {
      WEIR_ASSIGN(const auto given, f_.number_if(part));
      if (is("gpt_oss") && given.value_or(value) != value)
        return f_.unsupported(part, fmt::format("only {} is known", value));
    }
    return {};
  }

  Status encoder() {
    WEIR_ASSIGN(const std::string positions, f_.text_or("position_embedding_type", "absolute"));
    if (positions != "absolute")
      return f_.unsupported("position_embedding_type", "only \"absolute\" is known");
    WEIR_ASSIGN(const auto decoder, f_.flag_if("is_decoder"));
    if (decoder == true)
      return f_.unsupported("is_decoder", "only encoders of this type are known");
    w_.set_bool(key("attention.causal"), false);
    return {};
  }

  // rope_theta and rope_scaling up to transformers 4, rope_parameters since.
  Status rope() {
    const Json empty = Json::object();
    const Json* parameters = f_.find("rope_parameters");
    const Json* local = nullptr;
    if (parameters != nullptr && parameters->find("full_attention") != nullptr) {
      local = parameters->find("sliding_attention");
      parameters = parameters->find("full_attention");
    }
    const Json* scaling = parameters != nullptr ? parameters : f_.find("rope_scaling");
    if (scaling != nullptr && !scaling->is_object()) return f_.wrong("rope_scaling", "an object");
    const Fields r(scaling == nullptr ? empty : *scaling, "rope parameters: ");
    WEIR_ASSIGN(auto base, r.number_if("rope_theta"));
    if (!base) {
      WEIR_ASSIGN(base, f_.number_if("rope_theta"));
    }
    WEIR_ASSIGN(auto partial, r.number_if("partial_rotary_factor"));
    if (!partial) {
      WEIR_ASSIGN(partial, f_.number_if("partial_rotary_factor"));
    }
    if (partial && !(*partial > 0 && *partial <= 1)) {
      return f_.wrong("partial_rotary_factor", "above 0 and at most 1");
    }
    const double share = partial.value_or(is("glm4") ? 0.5 : 1.0);
    dims_ = static_cast<int64_t>(share * static_cast<double>(head_dim_));
    set_count("rope.dimension_count", dims_);
    if (is("gpt_oss") && scaling == nullptr)
      return f_.unsupported("rope_scaling", "this model type is known with yarn");
    base_ = base.value_or(is("gemma3_text") ? 1e6 : is("gpt_oss") ? 150000.0 : 10000.0);
    set_number("rope.freq_base", base_);
    WEIR_TRY(local_rope(local));
    WEIR_ASSIGN(const std::string old_type, r.text_or("type", "default"));
    WEIR_ASSIGN(const std::string type, r.text_or("rope_type", old_type));
    return scale_rope(r, type);
  }

  Status local_rope(const Json* local) {
    if (!is("gemma3_text")) return {};
    WEIR_ASSIGN(auto base, f_.number_if("rope_local_base_freq"));
    if (local != nullptr) {
      WEIR_ASSIGN(base, Fields(*local, "rope parameters: ").number_if("rope_theta"));
    }
    set_number("rope.freq_base_swa", base.value_or(10000.0));
    return {};
  }

  Status scale_rope(const Fields& r, const std::string& type) {
    if (type == "default") return {};
    if (type == "llama3") return llama3(r);
    if (type == "longrope" || type == "su") return longrope(r);
    if (type != "linear" && type != "yarn") {
      return make_error(ErrorCode::kUnsupported,
                        "rope parameters: type {} is not supported; supported: default, linear, "
                        "llama3, longrope, yarn",
                        text::json_quote(std::string_view(type).substr(0, 40)));
    }
    WEIR_ASSIGN(const double factor, r.number("factor"));
    w_.set_string(key("rope.scaling.type"), type);
    set_number("rope.scaling.factor", factor);
    if (type == "linear") return {};
    if (c_.family->latent) WEIR_TRY(latent_yarn(r));
    for (const char* name : {"attention_factor", "mscale", "mscale_all_dim"}) {
      if (c_.family->latent && std::string_view(name) != "attention_factor") continue;
      if (r.find(name) != nullptr) return r.unsupported(name, "this field is not known with yarn");
    }
    WEIR_ASSIGN(const auto truncate, r.flag_if("truncate"));
    if (truncate.value_or(true) == is("gpt_oss"))
      return r.unsupported("truncate", "this model type is known with the other value");
    WEIR_ASSIGN(const auto original, r.count_if("original_max_position_embeddings"));
    WEIR_ASSIGN(const auto fast, r.number_if("beta_fast"));
    WEIR_ASSIGN(const auto slow, r.number_if("beta_slow"));
    set_count("rope.scaling.original_context_length", original.value_or(context_));
    if (fast) set_number("rope.scaling.yarn_beta_fast", *fast);
    if (slow) set_number("rope.scaling.yarn_beta_slow", *slow);
    return {};
  }

  // The rotation keeps its size where both are equal; llama.cpp's files hold a tenth of them.
  Status latent_yarn(const Fields& r) {
    WEIR_ASSIGN(const auto rotation, r.number_if("mscale"));
    WEIR_ASSIGN(const auto scores, r.number_if("mscale_all_dim"));
    if (rotation != scores) return r.unsupported("mscale", "only that of mscale_all_dim is known");
    if (scores) set_number("rope.scaling.yarn_log_multiplier", 0.1 * *scores);
    return {};
  }

  // Grattafiori et al. 2024 (Llama 3): long waves are stretched, short ones kept, between them a
  // straight mix.
  Status llama3(const Fields& r) {
    WEIR_ASSIGN(const double factor, r.number("factor"));
    WEIR_ASSIGN(const double low, r.number("low_freq_factor"));
    WEIR_ASSIGN(const double high, r.number("high_freq_factor"));
    WEIR_ASSIGN(const double original, r.number("original_max_position_embeddings"));
    if (!(factor > 0 && low > 0 && high > low && original > 0 && base_ > 0 && dims_ > 0 &&
          dims_ <= static_cast<int64_t>(2 * kMaxFactors))) {
      return make_error(ErrorCode::kCorrupt,
                        "rope parameters: llama3 needs factor > 0 and high_freq_factor > "
                        "low_freq_factor > 0");
    }
    std::vector<float> factors;
    for (int64_t i = 0; i < dims_; i += 2) {
      const double exponent = static_cast<double>(i) / static_cast<double>(dims_);
      const double wave = 2.0 * std::numbers::pi * std::pow(base_, exponent);
      double divisor = 1.0;
      if (wave > original / low) {
        divisor = factor;
      } else if (wave >= original / high) {
        const double smooth = (original / wave - low) / (high - low);
        divisor = 1.0 / ((1.0 - smooth) / factor + smooth);
      }
      factors.push_back(static_cast<float>(divisor));
    }
    c_.rope_factors.emplace_back("rope_freqs.weight", std::move(factors));
    return {};
  }

  Status longrope(const Fields& r) {
    WEIR_ASSIGN(auto original, f_.count_if("original_max_position_embeddings"));
    if (!original) {
      WEIR_ASSIGN(original, r.count("original_max_position_embeddings"));
    }
    WEIR_ASSIGN(auto long_factors, r.numbers("long_factor"));
    WEIR_ASSIGN(auto short_factors, r.numbers("short_factor"));
    WEIR_ASSIGN(auto magnitude, r.number_if("attention_factor"));
    if (*original < 2) return f_.wrong("original_max_position_embeddings", "at least 2");
    const double o = static_cast<double>(*original);
    const double stretch = static_cast<double>(context_) / o;
    if (!magnitude) {
      magnitude = stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(o)) : 1.0;
    }
    set_count("rope.scaling.original_context_length", *original);
    set_number("rope.scaling.attn_factor", *magnitude);
    c_.rope_factors.emplace_back("rope_factors_long.weight", std::move(long_factors));
    c_.rope_factors.emplace_back("rope_factors_short.weight", std::move(short_factors));
    return {};
  }

  Status windows() {
    WEIR_ASSIGN(const auto window, f_.count_if("sliding_window"));
    WEIR_ASSIGN(const auto used, f_.flag_if("use_sliding_window"));
    const bool qwen = c_.family->architecture.starts_with("qwen");
    if (used == true && (qwen || is("smollm3"))) {
      return f_.unsupported("use_sliding_window", "windows in some layers of this model type");
    }
    const bool windowed = is("mistral") || is("mixtral") || is("phi3") || is("gemma2") ||
                          is("gemma3_text") || is("starcoder2") || is("gpt_oss");
    if (windowed) set_count("attention.sliding_window", window.value_or(0));
    if (is("gemma2") || is("gpt_oss")) WEIR_TRY(every_nth("full_attention", 2));
    if (is("gemma3_text")) WEIR_TRY(every_nth("full_attention", 6));
    WEIR_ASSIGN(const auto pattern, f_.count_if("sliding_window_pattern"));
    if (is("gemma3_text") && pattern && *pattern != 6) {
      return f_.unsupported("sliding_window_pattern", "only 6 is known");
    }
    if (is("smollm3")) WEIR_TRY(no_rope_layers());
    return {};
  }

  // layer_types, where given, must be the pattern that the architecture stands for.
  Status every_nth(std::string_view type, size_t n) {
    const Json* types = f_.find("layer_types");
    if (types == nullptr) return {};
    if (!types->is_array()) return f_.wrong("layer_types", "a list");
    for (size_t i = 0; i < types->size(); ++i) {
      const Json& t = types->items()[i];
      if (t.is_string() && (t.as_string() == type) == ((i + 1) % n == 0)) continue;
      return make_error(ErrorCode::kUnsupported,
                        "layer_types[{}]: only \"{}\" in every {}. layer is known for {}", i, type,
                        n, c_.family->model_type);
    }
    return {};
  }

  Status no_rope_layers() {
    const Json* layers = f_.find("no_rope_layers");
    if (layers == nullptr) return {};
    if (!layers->is_array()) return f_.wrong("no_rope_layers", "a list");
    for (size_t i = 0; i < layers->size(); ++i) {
      const Json& on = layers->items()[i];
      if (on.is_int() && on.as_int() == ((i + 1) % 4 == 0 ? 0 : 1)) continue;
      return make_error(ErrorCode::kUnsupported,
                        "no_rope_layers[{}]: only a 0 in every 4. layer is known", i);
    }
    return {};
  }

  Status scales() {
    const std::pair<const char*, const char*> kCaps[] = {
        {"attn_logit_softcapping", "attn_logit_softcapping"},
        {"final_logit_softcapping", "final_logit_softcapping"}};
    const std::pair<const char*, const char*> kGranite[] = {
        {"attention_multiplier", "attention.scale"},
        {"embedding_multiplier", "embedding_scale"},
        {"residual_multiplier", "residual_scale"},
        {"logits_scaling", "logit_scale"}};
    const auto copy = [&](const auto& table) -> Status {
      for (const auto& [from, to] : table) {
        WEIR_ASSIGN(const auto value, f_.number_if(from));
        if (value) set_number(to, *value);
      }
      return {};
    };
    if (is("gemma2") || is("gemma3_text")) {
      WEIR_TRY(copy(kCaps));
      WEIR_ASSIGN(const auto scalar, f_.number_if("query_pre_attn_scalar"));
      if (scalar && *scalar > 0) set_number("attention.scale", 1.0 / std::sqrt(*scalar));
    }
    if (is("granite")) WEIR_TRY(copy(kGranite));
    if (is("cohere")) {
      WEIR_ASSIGN(const auto scale, f_.number_if("logit_scale"));
      set_number("logit_scale", scale.value_or(0.0625));  // transformers' default
      WEIR_ASSIGN(const auto normed, f_.flag_if("use_qk_norm"));
      if (normed == true) return f_.unsupported("use_qk_norm", "only false is known");
    }
    return {};
  }

  // Which experts are chosen how: transformers' modeling_deepseek_v2.py and _v3.py.
  Status deepseek_experts() {
    const bool v3 = is("deepseek_v3");
    WEIR_ASSIGN(const auto frequency, f_.count_if("moe_layer_freq"));
    if (frequency.value_or(1) != 1) return f_.unsupported("moe_layer_freq", "only 1 is known");
    WEIR_ASSIGN(const auto experts, f_.count_if("n_routed_experts"));
    if (!experts) return {};
    c_.experts = *experts;
    WEIR_ASSIGN(const int64_t used, f_.count("num_experts_per_tok"));
    WEIR_ASSIGN(const int64_t ffn, f_.count("moe_intermediate_size"));
    WEIR_ASSIGN(const auto shared, f_.count_if("n_shared_experts"));
    WEIR_ASSIGN(const auto dense, f_.count_if("first_k_dense_replace"));
    WEIR_ASSIGN(const auto scale, f_.number_if("routed_scaling_factor"));
    set_count("expert_count", c_.experts);
    set_count("expert_used_count", used);
    set_count("expert_feed_forward_length", ffn);
    set_count("expert_shared_count", shared.value_or(0));
    set_count("leading_dense_block_count", dense.value_or(0));
    set_number("expert_weights_scale", scale.value_or(1.0));
    WEIR_ASSIGN(const std::string scoring, f_.text_or("scoring_func", v3 ? "sigmoid" : "softmax"));
    if (scoring != (v3 ? "sigmoid" : "softmax"))
      return f_.unsupported("scoring_func", "this model type is known with the other one");
    set_count("expert_gating_func", v3 ? 2 : 1);
    WEIR_ASSIGN(const auto normalized, f_.flag_if("norm_topk_prob"));
    if (normalized == true && !v3) return f_.unsupported("norm_topk_prob", "only false is known");
    w_.set_bool(key("expert_weights_norm"), normalized.value_or(v3));
    WEIR_ASSIGN(const std::string method, f_.text_or("topk_method", v3 ? "noaux_tc" : "greedy"));
    if (method == "greedy" && !v3) return {};
    if (method != (v3 ? "noaux_tc" : "group_limited_greedy"))
      return f_.unsupported("topk_method", "this model type is not known with it");
    WEIR_ASSIGN(const int64_t groups, f_.count("n_group"));
    WEIR_ASSIGN(const int64_t groups_used, f_.count("topk_group"));
    set_count("expert_group_count", groups);
    set_count("expert_group_used_count", groups_used);
    return {};
  }

  Status experts() {
    if (c_.family->experts == Experts::kNone) return {};
    if (c_.family->experts == Experts::kDeepseek) return deepseek_experts();
    const bool local = is("mixtral") || is("gpt_oss");  // and as wide as intermediate_size
    WEIR_ASSIGN(c_.experts, f_.count(local ? "num_local_experts" : "num_experts"));
    WEIR_ASSIGN(const int64_t used, f_.count("num_experts_per_tok"));
    set_count("expert_count", c_.experts);
    set_count("expert_used_count", used);
    if (local) return {};
    WEIR_ASSIGN(const int64_t ffn, f_.count("moe_intermediate_size"));
    set_count("expert_feed_forward_length", ffn);
    WEIR_ASSIGN(const auto shared, f_.count_if("shared_expert_intermediate_size"));
    if (shared) set_count("expert_shared_feed_forward_length", *shared);
    WEIR_ASSIGN(const auto renormalized, f_.flag_if("norm_topk_prob"));
    if (renormalized.value_or(false) != is("qwen3_moe")) {
      return f_.unsupported("norm_topk_prob", "this model type is known with the other value");
    }
    return {};
  }

  Fields f_;
  gguf::Writer& w_;
  HfConfig c_;
  int64_t context_ = 0;
  int64_t head_dim_ = 0;
  int64_t dims_ = 0;
  double base_ = 0;
};

}  // namespace

Status read_pooling_config(const Json& pooling, const Family& family, gguf::Writer& writer) {
  if (pooling.is_null()) return {};
  if (!pooling.is_object()) return make_error(ErrorCode::kCorrupt, "it must be a JSON object");
  // pooling_type: 1 mean, 2 cls, 3 last. A string since sentence-transformers 5, flags before.
  constexpr std::array<std::tuple<std::string_view, std::string_view, uint32_t>, 3> kModes = {
      {{"pooling_mode_mean_tokens", "mean", 1},
       {"pooling_mode_cls_token", "cls", 2},
       {"pooling_mode_lasttoken", "lasttoken", 3}}};
  const Fields f(pooling, "");
  WEIR_ASSIGN(const std::string mode, f.text_or("pooling_mode", ""));
  std::optional<uint32_t> type;
  for (const Json::Member& m : pooling.members()) {
    const std::string_view name = m.first;
    const bool on = m.second.is_bool() && m.second.as_bool();
    if (!on || !name.starts_with("pooling_mode_") || !mode.empty()) continue;
    const auto* known = std::find_if(kModes.begin(), kModes.end(),
                                     [name](const auto& k) { return std::get<0>(k) == name; });
    if (known == kModes.end() || type.has_value())
      return f.unsupported(name, "only one of mean_tokens, cls_token and lasttoken is known");
    type = std::get<2>(*known);
  }
  for (const auto& [flag, name, value] : kModes) {
    if (mode == name) type = value;
  }
  if (!type.has_value() && !mode.empty())
    return f.unsupported("pooling_mode", "only mean, cls and lasttoken are known");
  if (type.has_value()) writer.set_uint(fmt::format("{}.pooling_type", family.architecture), *type);
  return {};
}

Result<HfConfig> read_hf_config(const Json& config, gguf::Writer& writer) {
  if (!config.is_object()) return make_error(ErrorCode::kCorrupt, "it must be a JSON object");
  return Converter(config, writer).run();
}

}  // namespace weir::checkpoint
