// Recipes for tools that quantize elsewhere, from PyTorch weights: what such a tool is given to
// make the checkpoint of a scheme, in the names of one version of it. Pure: text out, nothing is
// read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/recipe/table.h"

namespace weir::ops {

struct RecipeLimits {
  static constexpr int32_t kSamples = 1 << 20;
  static constexpr int32_t kSequenceTokens = 1 << 20;
  static constexpr size_t kNameBytes = 4096;  // of model and calibration file
};

struct RecipeRequest {
  std::string tool;         // "llm-compressor", "gptqmodel" or "modelopt"
  std::string model;        // a folder, or a name that the tool finds
  std::string scheme;       // "W4A16", in any case
  std::string method;       // "gptq", "awq", "smoothquant", "rtn"; empty: the scheme's usual one
  int32_t group_size = 0;   // -1: one group a row; 0: the scheme's own
  std::string calibration;  // a text, or JSON lines where it ends with .jsonl; may be empty
  int32_t samples = 512;
  int32_t sequence_tokens = 2048;
};

struct Recipe {
  const RecipeToolFacts* tool = nullptr;  // of the table
  const RecipeRow* row = nullptr;         // of the table
  int32_t group_size = 0;                 // 0: the scheme has no groups that one could choose
  std::string yaml;                       // of llm-compressor; else empty
  std::string script;                     // Python
};

// Error: kUsage for what no recipe is for, naming what to use in its place.
Result<Recipe> make_recipe(const RecipeRequest& request);

// The modifiers for llm-compressor, without a comment. Internal to ops/.
std::string recipe_yaml(const RecipeRow& row, const RecipeScheme& scheme, int32_t group_size);
// The Python program; `yaml` as above. Internal to ops/.
std::string recipe_script(const Recipe& recipe, const RecipeScheme& scheme,
                          const RecipeRequest& request, std::string_view yaml);

}  // namespace weir::ops
