#include "model/architecture.h"

#include <array>

namespace weir::model {
namespace {

// Sources: the models' published modelling code and the tensor lists of llama.cpp's src/models.
constexpr std::array kArchitectures{
    Architecture{.name = "llama",
                 .rope = RopeKind::kInterleaved,
                 .qkv_bias = BiasRule::kOptional,
                 .qk_norm = false},
    Architecture{.name = "qwen2",
                 .rope = RopeKind::kHalves,
                 .qkv_bias = BiasRule::kRequired,
                 .qk_norm = false},
    Architecture{.name = "qwen3",
                 .rope = RopeKind::kHalves,
                 .qkv_bias = BiasRule::kOptional,
                 .qk_norm = true},
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
