// The named mixes: which type each tensor of a model gets, as llama.cpp's llama-quantize chooses
// (llama-quant.cpp, as of build 9000-odd of 2026; the names and numbers of llama_ftype).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace weir::ops {

struct Mix {
  std::string_view name;   // "Q4_K_M"
  gguf::TensorType type;   // of most tensors
  uint32_t file_type = 0;  // general.file_type
  uint32_t index = 0;      // in mixes()
};

std::span<const Mix> mixes();
// Any case. Error: kUsage with the names there are.
Result<Mix> find_mix(std::string_view name);
std::string mix_names();

// What the choices depend on, besides names and shapes.
struct ModelFacts {
  std::string architecture;
  uint64_t layers = 0;
  uint64_t gqa = 0;  // query heads for each key head
  uint64_t experts = 0;
  bool tied = false;       // no output.weight: the embedding serves as output
  bool seventy_b = false;  // 80 layers with few key heads
};
// Of a file's metadata; what it does not say is 0. Error: kCorrupt for keys of another type.
Result<ModelFacts> model_facts(const gguf::File& file);

struct MixOptions {
  bool pure = false;         // `mix.type` for all that may be quantized
  bool keep_output = false;  // the output matrix (or the embedding that serves as it) stays
  bool importance = false;   // an importance matrix is at hand
  std::optional<gguf::TensorType> output_type = std::nullopt, embedding_type = std::nullopt;
  // By regular expressions (text/pattern.h, found anywhere in the name); the first that matches
  // wins.
  std::vector<std::pair<std::string, gguf::TensorType>> overrides = {};
  // Of tensors by name, instead of the mix's choice; overrides come before it.
  std::map<std::string, gguf::TensorType> exact = {};
};

struct TensorChoice {
  gguf::TensorType type;  // the tensor's own when it is kept
  bool quantizable = false;
  bool by_hand = false;  // an override says so
  // The type wanted, where its blocks do not fit the rows and `type` stands in.
  std::optional<gguf::TensorType> wanted;
};

// One for each tensor of the file, in its order. A type that options name and that cannot be
// written (quant::can_quantize) stays the choice. Error: kUsage for a regular expression that is
// none, or that matches nothing.
Result<std::vector<TensorChoice>> choose_types(const gguf::File& file, const ModelFacts& facts,
                                               const Mix& mix, const MixOptions& options);

// Types so coarse that they are not to be used without an importance matrix, for this tensor.
bool requires_importance(std::string_view tensor, gguf::TensorType type, const Mix& mix);

}  // namespace weir::ops
