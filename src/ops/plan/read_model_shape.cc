// config.json by the names that families give to the same things.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>

#include "ops/plan/model_shape.h"
#include "ops/plan/read_precision.h"
#include "os/file.h"
#include "plot/text.h"

namespace weir::ops {
namespace {

using text::Json;
using Names = std::initializer_list<std::string_view>;

constexpr uint64_t kMaxConfigBytes = 4 << 20;
constexpr int64_t kMaxLayers = 2048;
// Of a width or a count: products of four of them stay within a double's exact powers of two.
constexpr int64_t kMaxSize = int64_t{1} << 20;
constexpr int64_t kMaxTokens = int64_t{1} << 32;  // of a context, a window, a vocabulary
// Families whose feed-forward part has no gate, and those whose output is the embedding unless
// they say otherwise (the defaults of their classes in transformers).
constexpr std::array kUngated = {"gpt2", "falcon",   "starcoder2",  "phi", "gpt_neox",
                                 "bert", "nemotron", "gpt_bigcode", "opt", "nemotron_h"};
constexpr std::array kTied = {"gpt2",   "gemma",  "gemma2",  "gemma3",     "gemma3_text",
                              "falcon", "cohere", "cohere2", "starcoder2", "gpt_bigcode"};

template <size_t N>
bool among(const std::array<const char*, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Reader {
 public:
  explicit Reader(const Json& config) : config_(config) {}

  // The first of the names that is there and not null.
  const Json* find(Names names) const {
    for (const std::string_view name : names) {
      const Json* v = config_.find(name);
      if (v != nullptr && !v->is_null()) return v;
    }
    return nullptr;
  }

  Result<int64_t> whole(Names names, int64_t fallback, int64_t most = kMaxSize) const {
    const Json* v = find(names);
    if (v == nullptr) return fallback;
    if (v->is_array() && v->size() > 0) v = &v->items().back();  // one number for each layer
    if (!v->is_int() || v->as_int() < 0 || v->as_int() > most) {
      return make_error(ErrorCode::kCorrupt,
                        "config.json: {} must be an integer from 0 to {}, not {}", *names.begin(),
                        most, v->dump().substr(0, 40));
    }
    return v->as_int();
  }

  Result<int64_t> needed(Names names, int64_t most = kMaxSize) const {
    WEIR_ASSIGN(const int64_t value, whole(names, 0, most));
    if (value > 0) return value;
    return make_error(ErrorCode::kCorrupt, "config.json: {} is missing or 0", *names.begin());
  }

  bool flag(std::string_view name, bool fallback) const {
    const Json* v = find({name});
    return v != nullptr && v->is_bool() ? v->as_bool() : fallback;
  }

  // Each layer is named by what it is, as in Nemotron H.
  bool lists_layers() const {
    return find({"hybrid_override_pattern", "layers_block_type"}) != nullptr &&
           (find({"layers_block_type"}) == nullptr || find({"num_hidden_layers"}) == nullptr);
  }

  std::string text(Names names) const {
    const Json* v = find(names);
    return v != nullptr && v->is_string() ? v->as_string() : "";
  }

 private:
  const Json& config_;
};

Status read_attention(const Reader& r, ModelShape& m) {
  WEIR_ASSIGN(m.heads, r.needed({"num_attention_heads", "n_head", "num_heads"}));
  const bool multi_query =
      r.flag("multi_query", false) && !r.flag("new_decoder_architecture", false);
  WEIR_ASSIGN(m.kv_heads,
              r.whole({"num_key_value_heads", "num_kv_heads", "n_head_kv", "num_attention_groups"},
                      multi_query ? 1 : m.heads));
  if (multi_query) m.kv_heads = 1;
  WEIR_ASSIGN(m.head_dim,
              r.whole({"head_dim", "attention_head_dim", "kv_channels"}, m.hidden / m.heads));
  m.value_dim = m.head_dim;
  WEIR_ASSIGN(m.kv_rank, r.whole({"kv_lora_rank"}, 0));
  if (m.kv_rank == 0) return {};
  WEIR_ASSIGN(m.q_rank, r.whole({"q_lora_rank"}, 0));
  WEIR_ASSIGN(m.rope_dim, r.needed({"qk_rope_head_dim"}));
  WEIR_ASSIGN(const int64_t plain, r.needed({"qk_nope_head_dim"}));
  WEIR_ASSIGN(m.value_dim, r.needed({"v_head_dim"}));
  m.head_dim = plain + m.rope_dim;
  return {};
}

Status read_experts(const Reader& r, ModelShape& m) {
  WEIR_ASSIGN(
      m.experts,
      r.whole({"n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"}, 0));
  if (m.experts <= 1) {
    m.experts = 0;
    return {};
  }
  WEIR_ASSIGN(m.used_experts, r.whole({"num_experts_per_tok", "num_experts_per_token", "moe_topk",
                                       "moe_k", "top_k_experts", "experts_per_token"},
                                      1));
  if (m.used_experts > m.experts) {
    return make_error(ErrorCode::kCorrupt, "config.json: {} experts a token, and there are {}",
                      m.used_experts, m.experts);
  }
  WEIR_ASSIGN(
      m.expert_ffn,
      r.whole({"moe_intermediate_size", "expert_intermediate_size", "intermediate_size"}, m.ffn));
  WEIR_ASSIGN(m.expert_hidden, r.whole({"moe_latent_size", "routed_expert_hidden_size"}, 0));
  WEIR_ASSIGN(m.ffn, r.whole({"dense_intermediate_size"}, m.ffn));
  WEIR_ASSIGN(const int64_t shared, r.whole({"n_shared_experts", "num_shared_experts",
                                             "moe_num_shared_experts", "num_shared_expert"},
                                            0));
  WEIR_ASSIGN(m.shared_ffn, r.whole({"shared_expert_intermediate_size", "shared_intermediate_size",
                                     "moe_shared_expert_intermediate_size"},
                                    shared * m.expert_ffn));
  if (m.architecture.starts_with("llama4")) {  // one shared expert; dense layers have their own
    m.shared_ffn = m.expert_ffn;
    WEIR_ASSIGN(m.ffn, r.whole({"intermediate_size_mlp"}, m.ffn));
  }
  return {};
}

// Which layers have experts.
Status place_experts(const Reader& r, ModelShape& m) {
  if (m.experts == 0 || r.lists_layers()) return {};
  if (const Json* each = r.find({"moe_layer_freq"}); each != nullptr && each->is_array()) {
    for (size_t i = 0; i < std::min(m.layers.size(), each->size()); ++i)
      m.layers[i].experts = each->items()[i].is_int() && each->items()[i].as_int() != 0;
    return {};
  }
  WEIR_ASSIGN(const int64_t dense,
              r.whole({"first_k_dense_replace", "moe_layer_start_index", "num_dense_layers"}, 0));
  WEIR_ASSIGN(const int64_t every,
              r.whole({"decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step",
                       "expert_layer_period", "moe_layer_interval"},
                      1));
  WEIR_ASSIGN(const int64_t offset, r.whole({"expert_layer_offset"}, every - 1));
  const Json* only = r.find({"mlp_only_layers"});
  for (size_t i = 0; i < m.layers.size(); ++i) {
    const auto n = static_cast<int64_t>(i);
    m.layers[i].experts = n >= dense && (every <= 1 || n % every == offset);
    if (only == nullptr || !only->is_array()) continue;
    for (const Json& index : only->items()) {
      if (index.is_int() && index.as_int() == n) m.layers[i].experts = false;
    }
  }
  return {};
}

Mixer mixer_of(std::string_view name) {
  if (name == "sliding_attention" || name == "chunked_attention") return Mixer::kWindow;
  if (name == "full_attention" || name == "attention" || name == "global_attention" ||
      name == "hybrid")
    return Mixer::kFull;
  return Mixer::kState;  // linear_attention, mamba, conv, recurrent
}

// Nemotron H: a letter for each layer, each a mixer or a feed-forward part.
bool place_by_pattern(const std::string& pattern, ModelShape& m) {
  if (pattern.empty()) return false;
  for (size_t i = 0; i < std::min(m.layers.size(), pattern.size()); ++i) {
    ModelLayer& layer = m.layers[i];
    const char c = pattern[i];
    layer.mixer = c == '*' ? Mixer::kFull : c == 'M' ? Mixer::kState : Mixer::kNone;
    layer.feed_forward = c == '-' || c == 'E';
    layer.experts = c == 'E';
  }
  return true;
}

// The same in words, where a layer is a mixer or a feed-forward part.
bool place_by_blocks(const Json* blocks, ModelShape& m) {
  if (blocks == nullptr || !blocks->is_array()) return false;
  for (size_t i = 0; i < std::min(m.layers.size(), blocks->size()); ++i) {
    const Json& block = blocks->items()[i];
    const std::string name = block.is_string() ? block.as_string() : "";
    ModelLayer& layer = m.layers[i];
    layer.mixer = name == "attention" ? Mixer::kFull
                  : name == "mamba"   ? Mixer::kState
                                      : Mixer::kNone;
    layer.feed_forward = name == "moe" || name == "mlp";
    layer.experts = name == "moe";
  }
  return true;
}

// Kimi Linear: the numbers of the layers with a state, from 1.
bool place_by_numbers(const Json* linear, ModelShape& m) {
  const Json* layers = linear == nullptr ? nullptr : linear->find("kda_layers");
  if (layers == nullptr || !layers->is_array()) return false;
  for (const Json& number : layers->items()) {
    if (!number.is_int() || number.as_int() < 1) continue;
    const auto i = static_cast<size_t>(number.as_int() - 1);
    if (i < m.layers.size()) m.layers[i].mixer = Mixer::kState;
  }
  return true;
}

bool place_by_types(const Json* types, ModelShape& m) {
  if (types == nullptr || !types->is_array() || types->size() != m.layers.size()) return false;
  for (size_t i = 0; i < m.layers.size(); ++i) {
    const Json& type = types->items()[i];
    if (type.is_string()) m.layers[i].mixer = mixer_of(type.as_string());
    if (type.is_string() && type.as_string() == "hybrid") m.layers[i].also_state = true;  // Zamba 2
    if (type.is_int()) m.layers[i].mixer = type.as_int() == 0 ? Mixer::kState : Mixer::kFull;
  }
  return true;
}

// Every n-th layer is `rare`, the others `common`; offset: the first rare one.
void place_every(int64_t every, int64_t offset, Mixer rare, Mixer common, ModelShape& m) {
  for (size_t i = 0; i < m.layers.size(); ++i)
    m.layers[i].mixer = static_cast<int64_t>(i) % every == offset ? rare : common;
}

Status place_mixers(const Reader& r, ModelShape& m) {
  WEIR_ASSIGN(m.window, r.whole({"sliding_window", "attention_chunk_size"}, 0, kMaxTokens));
  if (!r.flag("use_sliding_window", true)) m.window = 0;
  if (place_by_pattern(r.text({"hybrid_override_pattern"}), m)) return {};
  if (r.lists_layers() && place_by_blocks(r.find({"layers_block_type"}), m)) return {};
  if (place_by_numbers(r.find({"linear_attn_config"}), m)) return {};
  if (place_by_types(r.find({"layer_types", "attn_type_list", "layers_block_type"}), m)) {
    if (m.window == 0) {  // without a window all is seen
      for (ModelLayer& l : m.layers) l.mixer = l.mixer == Mixer::kWindow ? Mixer::kFull : l.mixer;
    }
    return {};
  }
  WEIR_ASSIGN(const int64_t full_interval, r.whole({"full_attention_interval"}, 0));
  if (full_interval > 0) {
    place_every(full_interval, full_interval - 1, Mixer::kFull, Mixer::kState, m);
    return {};
  }
  WEIR_ASSIGN(const int64_t period, r.whole({"attn_layer_period"}, 0));
  if (period > 0) {  // Jamba
    WEIR_ASSIGN(const int64_t offset, r.whole({"attn_layer_offset"}, 0));
    place_every(period, offset, Mixer::kFull, Mixer::kState, m);
    return {};
  }
  if (m.window == 0) return {};
  const bool gemma3 = m.architecture.starts_with("gemma3");
  const bool alternates = m.architecture == "gemma2" || m.architecture == "gpt_oss";
  const int64_t usual = gemma3 ? 6 : alternates ? 2 : m.architecture == "llama4_text" ? 4 : 0;
  WEIR_ASSIGN(const int64_t pattern, r.whole({"sliding_window_pattern"}, usual));
  if (pattern > 1) {
    place_every(pattern, pattern - 1, Mixer::kFull, Mixer::kWindow, m);
  } else {  // Mistral's, Phi 3's: every layer
    for (ModelLayer& l : m.layers) l.mixer = Mixer::kWindow;
  }
  return {};
}

double d(int64_t n) { return static_cast<double>(n); }

// Tokens that a convolution looks back at, in 16 bits.
double convolved_bytes(double width, int64_t kernel) {
  return 2 * width * std::max(0.0, d(kernel) - 1);
}

// State mixers by the names of Mamba 2 and of the gated delta rule.
Status read_state(const Reader& r, ModelShape& m) {
  WEIR_ASSIGN(const int64_t value_heads, r.whole({"linear_num_value_heads"}, 0));
  if (value_heads > 0) {
    WEIR_ASSIGN(const int64_t key_heads, r.needed({"linear_num_key_heads"}));
    WEIR_ASSIGN(const int64_t key_dim, r.needed({"linear_key_head_dim"}));
    WEIR_ASSIGN(const int64_t value_dim, r.needed({"linear_value_head_dim"}));
    WEIR_ASSIGN(const int64_t kernel, r.whole({"linear_conv_kernel_dim"}, 4));
    const double keys = d(key_heads) * d(key_dim), values = d(value_heads) * d(value_dim);
    const double convolved = 2 * keys + values;
    // q, k, v and the gate; two numbers a head; the convolution; the output.
    m.state_parameters = d(m.hidden) * (convolved + values + 2 * d(value_heads)) +
                         convolved * d(kernel) + values * d(m.hidden);
    m.state_bytes = 4 * values * d(key_dim) + convolved_bytes(convolved, kernel);
    return {};
  }
  if (const Json* linear = r.find({"linear_attn_config"})) {  // Kimi delta attention
    const Reader l(*linear);
    WEIR_ASSIGN(const int64_t linear_heads, l.needed({"num_heads"}));
    WEIR_ASSIGN(const int64_t dim, l.needed({"head_dim"}));
    WEIR_ASSIGN(const int64_t kernel, l.whole({"short_conv_kernel_size"}, 4));
    const double width = d(linear_heads) * d(dim);
    m.state_parameters = 4 * d(m.hidden) * width + 2 * d(m.hidden) * d(dim) + 3 * width * d(kernel);
    m.state_bytes = 4 * width * d(dim) + convolved_bytes(3 * width, kernel);
    return {};
  }
  WEIR_ASSIGN(const int64_t heads,
              r.whole({"mamba_n_heads", "mamba_num_heads", "n_mamba_heads"}, 0));
  WEIR_ASSIGN(const int64_t state, r.whole({"mamba_d_state", "ssm_state_size"}, 0));
  if (heads == 0 || state == 0) return {};
  WEIR_ASSIGN(const int64_t expand, r.whole({"mamba_expand"}, 0));
  WEIR_ASSIGN(const int64_t dim, r.whole({"mamba_d_head", "mamba_head_dim", "mamba_headdim"},
                                         expand > 0 ? expand * m.hidden / heads : 64));
  WEIR_ASSIGN(const int64_t groups, r.whole({"mamba_n_groups", "mamba_ngroups", "n_groups"}, 1));
  WEIR_ASSIGN(const int64_t kernel, r.whole({"mamba_d_conv", "conv_kernel"}, 4));
  const double inner = d(heads) * d(dim);
  const double convolved = inner + 2 * d(groups) * d(state);
  m.state_parameters =
      d(m.hidden) * (inner + convolved + d(heads)) + convolved * d(kernel) + inner * d(m.hidden);
  m.state_bytes = 4 * inner * d(state) + convolved_bytes(convolved, kernel);
  return {};
}

}  // namespace

Result<ModelShape> read_model_shape(const Json& outer) {
  if (!outer.is_object()) {
    return make_error(ErrorCode::kCorrupt, "config.json: must be an object, not {}",
                      outer.type_name());
  }
  // Models that see and hear keep the language model's keys in a part of their own.
  const Json* inner = nullptr;
  for (const char* name : {"text_config", "llm_config", "language_config", "thinker_config"}) {
    const Json* part = outer.find(name);
    if (inner == nullptr && part != nullptr && part->is_object()) inner = part;
  }
  if (inner != nullptr && inner->find("text_config") != nullptr) inner = inner->find("text_config");
  const Json& config = inner == nullptr ? outer : *inner;
  const Reader r(config), whole(outer);
  ModelShape m;
  m.architecture = r.text({"model_type"});
  if (m.architecture.empty()) m.architecture = whole.text({"model_type"});
  m.name = plot::printable(whole.text({"_name_or_path"}));
  if (r.find({"hidden_size", "n_embd", "d_model"}) == nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      "config.json: without hidden_size it is not of a language model (model_type "
                      "\"{}\")",
                      m.architecture);
  }
  WEIR_ASSIGN(m.hidden, r.needed({"hidden_size", "n_embd", "d_model"}));
  const Json* blocks = r.find({"layers_block_type"});
  const bool listed = blocks != nullptr && blocks->is_array() && r.lists_layers();
  int64_t layers = listed ? static_cast<int64_t>(blocks->size()) : 0;
  if (!listed) {
    WEIR_ASSIGN(layers, r.needed({"num_hidden_layers", "n_layer", "num_layers"}));
  }
  if (layers > kMaxLayers) {
    return make_error(ErrorCode::kCorrupt, "config.json: {} layers; at most {} are taken", layers,
                      kMaxLayers);
  }
  m.layers.resize(static_cast<size_t>(layers));
  WEIR_ASSIGN(m.vocabulary, r.needed({"vocab_size", "padded_vocab_size"}, kMaxTokens));
  WEIR_ASSIGN(m.context_tokens,
              r.whole({"max_position_embeddings", "n_positions", "seq_length", "max_seq_len"}, 0,
                      kMaxTokens));
  const bool tied = among(kTied, m.architecture);
  m.tied = r.flag("tie_word_embeddings", whole.flag("tie_word_embeddings", tied));
  const bool gated = !among(kUngated, m.architecture) && r.text({"mlp_hidden_act"}) != "relu2";
  m.ffn_matrices = gated ? 3 : 2;
  WEIR_ASSIGN(
      m.ffn, r.whole({"intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"}, 4 * m.hidden));
  WEIR_TRY(read_attention(r, m));
  WEIR_TRY(read_experts(r, m));
  WEIR_TRY(place_experts(r, m));
  WEIR_TRY(place_mixers(r, m));
  WEIR_TRY(read_state(r, m));
  if (m.architecture == "falcon_h1") {
    for (ModelLayer& l : m.layers) l.also_state = true;
  }
  const bool outside = whole.find({"quantization_config", "compression_config"}) != nullptr;
  read_precision(outside ? outer : config, m);
  return m;
}

Result<ModelShape> read_model_shape_file(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxConfigBytes));
  auto json = text::Json::parse(text);
  if (!json.ok()) return json.error().with_context(path);
  auto shape = read_model_shape(*json);
  if (!shape.ok()) return shape.error().with_context(path);
  return shape;
}

}  // namespace weir::ops
