// Which recipes there are: tool × scheme × method, and what the tool calls them. Internal to ops/.
//
// Sources: the packages themselves at the versions below. tests/golden/make_recipe_fields.py takes
// the names out of them, tests/recipe_test.py holds every recipe against those.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir::ops {

enum class RecipeTool : uint8_t { kLlmCompressor, kGptqModel, kModelOpt };

inline constexpr std::string_view kRecipeKeysChecked = "2026-11-29";

struct RecipeToolFacts {
  RecipeTool tool;
  std::string_view name;     // as --help has it
  std::string_view title;    // as its makers write it
  std::string_view install;  // for pip, at the version that the keys are of
};

// Of matrices; a scheme keeps embeddings, norms and the output matrix as they are.
struct RecipeScheme {
  std::string_view name;  // compressed-tensors' name
  std::string_view says;
  int32_t weight_bits;
  std::string_view weight_type;  // "int" or "float"
  bool symmetric;
  bool groups;                       // groups of 128, or what --group-size says
  int32_t activation_bits;           // 16: not quantized
  std::string_view activation_type;  // "int" or "float"; of schemes with groups: a scale a token
};

struct RecipeRow {
  RecipeTool tool;
  std::string_view scheme;
  std::string_view method;
  std::string_view name;  // the tool's name of it: a preset, a class, a constant
  bool groups;            // takes --group-size
  bool calibrates;        // needs a calibration text
};

std::span<const RecipeToolFacts> recipe_tools();
std::span<const RecipeScheme> recipe_schemes();
// The first row of a tool and scheme has the method that is taken without --method.
std::span<const RecipeRow> recipe_rows();

}  // namespace weir::ops
