#include <fmt/format.h>

#include "checkpoint/families.h"

#include <array>
#include <charconv>
#include <utility>

namespace weir::checkpoint {
namespace {

constexpr std::array kFamilies{
    Family{.model_type = "llama", .architecture = "llama", .permute_qk = true},
    Family{.model_type = "mistral", .architecture = "llama", .permute_qk = true},
    Family{.model_type = "mixtral",
           .architecture = "llama",
           .permute_qk = true,
           .experts = Experts::kMixtral},
    Family{.model_type = "qwen2", .architecture = "qwen2"},
    Family{.model_type = "qwen2_moe", .architecture = "qwen2moe", .experts = Experts::kQwen},
    Family{.model_type = "qwen3", .architecture = "qwen3"},
    Family{.model_type = "qwen3_moe", .architecture = "qwen3moe", .experts = Experts::kQwen},
    Family{.model_type = "gemma", .architecture = "gemma", .shift_norms = true, .gelu = true},
    Family{.model_type = "gemma2",
           .architecture = "gemma2",
           .shift_norms = true,
           .sandwich = true,
           .gelu = true},
    Family{.model_type = "gemma3_text",
           .architecture = "gemma3",
           .shift_norms = true,
           .sandwich = true,
           .gelu = true},
    Family{.model_type = "phi3", .architecture = "phi3"},
    Family{.model_type = "smollm3", .architecture = "smollm3", .permute_qk = true},
    Family{.model_type = "granite", .architecture = "granite", .permute_qk = true},
    Family{.model_type = "olmo2", .architecture = "olmo2", .sandwich = true},
    Family{.model_type = "starcoder2",
           .architecture = "starcoder2",
           .gelu = true,
           .layer_norm = "norm_epsilon"},
    Family{.model_type = "glm4", .architecture = "glm4"},
    Family{.model_type = "cohere", .architecture = "command-r", .layer_norm = "layer_norm_eps"},
    Family{.model_type = "falcon", .architecture = "falcon", .layer_norm = "layer_norm_epsilon"},
    Family{.model_type = "gpt2",
           .architecture = "gpt2",
           .transposed = true,
           .layer_norm = "layer_norm_epsilon"},
    Family{.model_type = "gpt_oss",
           .architecture = "gpt-oss",
           .sandwich = true,
           .experts = Experts::kGptOss},
    Family{.model_type = "deepseek_v2",
           .architecture = "deepseek2",
           .latent = true,
           .experts = Experts::kDeepseek},
    Family{.model_type = "deepseek_v3",
           .architecture = "deepseek2",
           .latent = true,
           .experts = Experts::kDeepseek},
    Family{.model_type = "bert",
           .architecture = "bert",
           .encoder = true,
           .layer_norm = "layer_norm_eps"},
};

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 9> kTop = {{
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"model.norm.bias", "output_norm.bias"},
    {"lm_head.weight", "output.weight"},
    {"transformer.word_embeddings.weight", "token_embd.weight"},
    {"transformer.wte.weight", "token_embd.weight"},
    {"transformer.wpe.weight", "position_embd.weight"},
    {"transformer.ln_f.weight", "output_norm.weight"},
    {"transformer.ln_f.bias", "output_norm.bias"},
}};

// Below "model.layers.N." or "transformer.h.N.", without ".weight" or ".bias".
constexpr std::array<Pair, 42> kLayer = {{
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.router", "ffn_gate_inp"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
    {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"post_self_attn_layernorm", "post_attention_norm"},
    {"post_mlp_layernorm", "post_ffw_norm"},
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"},
    {"self_attention.query_key_value", "attn_qkv"},
    {"self_attention.dense", "attn_output"},
    {"mlp.dense_h_to_4h", "ffn_up"},
    {"mlp.dense_4h_to_h", "ffn_down"},
    {"ln_1", "attn_norm"},
    {"attn.c_attn", "attn_qkv"},
    {"attn.c_proj", "attn_output"},
    {"ln_2", "ffn_norm"},
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_b_proj", "attn_q_b"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"self_attn.kv_b_proj", "attn_kv_b"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
}};

constexpr std::array<Pair, 6> kExpert = {{
    {"gate_proj", "ffn_gate_exps"},
    {"up_proj", "ffn_up_exps"},
    {"down_proj", "ffn_down_exps"},
    {"w1", "ffn_gate_exps"},
    {"w3", "ffn_up_exps"},
    {"w2", "ffn_down_exps"},
}};

constexpr std::array<Pair, 4> kEncoderTop = {{
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
}};

// Below "encoder.layer.N.".
constexpr std::array<Pair, 8> kEncoderLayer = {{
    {"attention.self.query", "attn_q"},
    {"attention.self.key", "attn_k"},
    {"attention.self.value", "attn_v"},
    {"attention.output.dense", "attn_output"},
    {"attention.output.LayerNorm", "attn_output_norm"},
    {"intermediate.dense", "ffn_up"},
    {"output.dense", "ffn_down"},
    {"output.LayerNorm", "layer_output_norm"},
}};

std::string_view lookup(const auto& table, std::string_view key) {
  for (const auto& [from, to] : table) {
    if (from == key) return to;
  }
  return {};
}

// Takes "prefix" off the front of text.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Takes "123." off the front of text: a number of at most six digits without leading zeros.
std::optional<int> take_number(std::string_view& text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 6) return std::nullopt;
  if (text[0] == '0' && dot > 1) return std::nullopt;
  int value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + dot, value);
  if (ec != std::errc() || end != text.data() + dot || value < 0) return std::nullopt;
  text.remove_prefix(dot + 1);
  return value;
}

// The model alone or below "bert.", as models with a head have it. Files made from the first
// release call the parts of a norm gamma and beta.
std::optional<Target> map_encoder_tensor(std::string_view name) {
  take(name, "bert.");
  const bool unused = name == "embeddings.position_ids" || name.starts_with("pooler.dense.") ||
                      name.starts_with("cls.predictions.") ||
                      name.starts_with("cls.seq_relationship.");
  if (unused) return Target{};
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view part = name.substr(dot);
  const bool weight = part == ".weight" || part == ".gamma";
  if (!weight && part != ".bias" && part != ".beta") return std::nullopt;
  const std::string kind = weight ? ".weight" : ".bias";
  name = name.substr(0, dot);
  if (const std::string_view top = lookup(kEncoderTop, name); !top.empty())
    return Target{.name = std::string(top) + kind};
  if (!take(name, "encoder.layer.")) return std::nullopt;
  const std::optional<int> layer = take_number(name);
  const std::string_view to = lookup(kEncoderLayer, name);
  if (!layer || to.empty()) return std::nullopt;
  return Target{.name = "blk." + std::to_string(*layer) + "." + std::string(to) + kind};
}

// Of gpt-oss, below "blk.N."; gate and up of an expert are dealt out row by row.
std::optional<Target> map_expert_stack(const std::string& prefix, std::string_view name) {
  const bool both = take(name, "gate_up_proj");
  if (!both && !take(name, "down_proj")) return std::nullopt;
  constexpr std::array<std::pair<std::string_view, Stack>, 4> kStacks = {
      {{"", Stack::kColumns},
       {"_bias", Stack::kBiases},
       {"_blocks", Stack::kBlocks},
       {"_scales", Stack::kScales}}};
  for (const auto& [suffix, stack] : kStacks) {
    if (name != suffix) continue;
    const char* kind = stack == Stack::kBiases ? "bias" : "weight";
    const auto tensor = [&](const char* what) {
      return fmt::format("{}{}.{}", prefix, what, kind);
    };
    if (!both) return Target{.name = tensor("ffn_down_exps"), .stack = stack};
    return Target{
        .name = tensor("ffn_gate_exps"), .odd_name = tensor("ffn_up_exps"), .stack = stack};
  }
  return std::nullopt;
}

}  // namespace

const Family* find_family(std::string_view model_type) {
  for (const Family& f : kFamilies) {
    if (f.model_type == model_type) return &f;
  }
  return nullptr;
}

std::string known_model_types() {
  std::string list;
  for (const Family& f : kFamilies) list += (list.empty() ? "" : ", ") + std::string(f.model_type);
  return list;
}

std::optional<Target> map_tensor(const Family& family, std::string_view name) {
  // The published gpt2 leaves the first part of its names out.
  if (family.model_type == "gpt2" && !name.starts_with("transformer.") && name != "lm_head.weight")
    return map_tensor(family, "transformer." + std::string(name));
  if (family.encoder) return map_encoder_tensor(name);
  if (const std::string_view top = lookup(kTop, name); !top.empty()) {
    return Target{.name = std::string(top)};
  }
  if (!take(name, "model.layers.") && !take(name, "transformer.h.")) return std::nullopt;
  const std::optional<int> layer = take_number(name);
  if (!layer) return std::nullopt;
  if (name == "self_attn.rotary_emb.inv_freq") return Target{};
  if (name == "attn.bias" || name == "attn.masked_bias") return Target{};  // gpt2's causal mask
  if (name == "mlp.gate.e_score_correction_bias") {
    return Target{.name = "blk." + std::to_string(*layer) + ".exp_probs_b.bias"};
  }
  const std::string prefix = "blk." + std::to_string(*layer) + ".";
  if (family.experts == Experts::kGptOss) {
    if (name == "self_attn.sinks") return Target{.name = prefix + "attn_sinks.weight"};
    if (take(name, "mlp.experts.")) return map_expert_stack(prefix, name);
  }
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view kind = name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  name = name.substr(0, dot);
  if (name == "post_attention_layernorm") {
    const char* norm = family.sandwich ? "post_attention_norm" : "ffn_norm";
    return Target{.name = prefix + norm + std::string(kind)};
  }
  if (const std::string_view to = lookup(kLayer, name); !to.empty()) {
    return Target{.name = prefix + std::string(to) + std::string(kind),
                  .qk = to == "attn_q" || to == "attn_k"};
  }
  const bool expert =
      ((family.experts == Experts::kQwen || family.experts == Experts::kDeepseek) &&
       take(name, "mlp.experts.")) ||
      (family.experts == Experts::kMixtral && take(name, "block_sparse_moe.experts."));
  if (!expert || kind != ".weight") return std::nullopt;
  const std::optional<int> number = take_number(name);
  const std::string_view to = lookup(kExpert, name);
  if (!number || to.empty()) return std::nullopt;
  return Target{.name = prefix + std::string(to) + ".weight", .expert = *number};
}

}  // namespace weir::checkpoint
