#include "model/architecture.h"

#include <array>

namespace weir::model {
namespace {

using kernels::Activation;

// Sources: the models' published modelling code (package transformers) and the tensor lists of
// llama.cpp's src/models. llama covers Llama 1 to 3, Mistral, Mixtral and SmolLM; deepseek2
// DeepSeek-V2, V2-Lite, V3 and R1.
constexpr std::array kArchitectures{
    Architecture{.name = "llama"},
    Architecture{.name = "qwen2", .rope = RopeKind::kHalves, .qkv_bias = BiasRule::kRequired},
    Architecture{.name = "qwen2moe",
                 .rope = RopeKind::kHalves,
                 .qkv_bias = BiasRule::kRequired,
                 .routing = Routing::kSoftmax},
    Architecture{.name = "qwen3", .rope = RopeKind::kHalves, .qk_norm = QkNorm::kHead},
    Architecture{.name = "qwen3moe", .rope = RopeKind::kHalves, .qk_norm = QkNorm::kHead},
    Architecture{.name = "gemma",
                 .rope = RopeKind::kHalves,
                 .activation = Activation::kGeluTanh,
                 .scale_embedding = true},
    Architecture{.name = "gemma2",
                 .rope = RopeKind::kHalves,
                 .block = BlockKind::kSandwich,
                 .activation = Activation::kGeluTanh,
                 .scale_embedding = true,
                 .full_every = 2,
                 .default_window = 4096,
                 .wide_scale_layers = 46},
    Architecture{.name = "gemma3",
                 .rope = RopeKind::kHalves,
                 .qk_norm = QkNorm::kHead,
                 .block = BlockKind::kSandwich,
                 .activation = Activation::kGeluTanh,
                 .scale_embedding = true,
                 .full_every = 6,
                 .window_rope_base = 10000.0,
                 .wide_scale_layers = 62},
    Architecture{.name = "phi3", .rope = RopeKind::kHalves},
    Architecture{.name = "smollm3", .rope = RopeKind::kInterleaved, .no_rope_every = 4},
    Architecture{.name = "granite", .rope = RopeKind::kInterleaved, .divide_logits = true},
    Architecture{.name = "olmo2",
                 .rope = RopeKind::kHalves,
                 .qk_norm = QkNorm::kRow,
                 .block = BlockKind::kPostNorm},
    Architecture{.name = "starcoder2",
                 .rope = RopeKind::kHalves,
                 .norm = NormKind::kLayer,
                 .activation = Activation::kGeluTanh},
    Architecture{.name = "glm4", .rope = RopeKind::kInterleaved, .block = BlockKind::kSandwich},
    Architecture{.name = "command-r",
                 .rope = RopeKind::kInterleaved,
                 .norm = NormKind::kLayer,
                 .block = BlockKind::kParallel},
    Architecture{.name = "falcon",
                 .rope = RopeKind::kHalves,
                 .norm = NormKind::kLayer,
                 .block = BlockKind::kParallel,
                 .activation = Activation::kGelu},
    Architecture{.name = "gpt2",
                 .rope = RopeKind::kNone,
                 .norm = NormKind::kLayer,
                 .activation = Activation::kGeluTanh,
                 .learned_positions = true},
    Architecture{.name = "gpt-oss",
                 .rope = RopeKind::kHalves,
                 .activation = Activation::kSwigluOai,
                 .routing = Routing::kTopSoftmax,
                 .ffn_norm = "post_attention_norm",
                 .sinks = true,
                 .yarn_truncate = false,
                 .full_every = 2},
    Architecture{.name = "deepseek2",
                 .rope = RopeKind::kInterleaved,
                 .routing = Routing::kSoftmax,
                 .routing_keys = true,
                 .latent_attention = true},
    // all-MiniLM, BGE, E5 and GTE in their first generations are this.
    Architecture{.name = "bert",
                 .rope = RopeKind::kNone,
                 .qkv_bias = BiasRule::kRequired,
                 .norm = NormKind::kLayer,
                 .block = BlockKind::kNormAfter,
                 .activation = Activation::kGelu,
                 .learned_positions = true,
                 .encoder = true},
    Architecture{.name = "nomic-bert",
                 .rope = RopeKind::kHalves,
                 .norm = NormKind::kLayer,
                 .block = BlockKind::kNormAfter,
                 .encoder = true},
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture& a : kArchitectures) {
    if (a.name == name) return &a;
  }
  return nullptr;
}

std::string known_architectures() {
  std::string list;
  for (const Architecture& a : kArchitectures) {
    if (!list.empty()) list += ", ";
    list += a.name;
  }
  return list;
}

}  // namespace weir::model
