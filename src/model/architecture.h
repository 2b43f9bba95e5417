// Architecture = data: one row per GGUF `general.architecture`. The forward pass reads the row; a
// new architecture that fits the description is a row here, not a file.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weir::model {

enum class RopeKind {
  kInterleaved,  // pairs (2i, 2i+1): ggml's "norm", as the llama conversion permutes q and k
  kHalves,       // pairs (i, i + n/2): ggml's "neox"
};

enum class BiasRule {
  kOptional,  // used when the file has it
  kRequired,  // missing is an error
  kNone,      // present is an error: the file is not what it says
};

struct Architecture {
  std::string_view name;  // value of general.architecture and prefix of its keys
  RopeKind rope = RopeKind::kInterleaved;
  BiasRule qkv_bias = BiasRule::kOptional;
  bool qk_norm = false;  // RMS norm over each head of q and k before RoPE
};

// All rows, in the order they are listed to users.
std::span<const Architecture> architectures();

// nullptr when unknown.
const Architecture* find_architecture(std::string_view name);

// "llama, qwen2, qwen3", for messages.
std::string known_architectures();

}  // namespace weir::model
