#include "ops/recipe/recipe.h"

#include <algorithm>
#include <array>
#include <vector>

#include "text/json.h"

namespace weir::ops {
namespace {

constexpr int32_t kGroup = 128;  // values that share a scale, unless --group-size says otherwise
// What kernels that serve such checkpoints read: Marlin in vLLM, GPTQModel's own. -1: a whole row.
constexpr std::array<int32_t, 4> kGroupSizes = {-1, 32, 64, 128};

std::string join(const std::vector<std::string_view>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

void add_once(std::vector<std::string_view>& names, std::string_view name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

Result<const RecipeToolFacts*> find_tool(std::string_view name) {
  std::vector<std::string_view> names;
  for (const RecipeToolFacts& t : recipe_tools()) {
    if (t.name == name) return &t;
    names.push_back(t.name);
  }
  return make_error(ErrorCode::kUsage, "there is no recipe for \"{}\"; there are recipes for {}",
                    name, join(names));
}

Result<const RecipeScheme*> find_scheme(std::string name) {
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  std::vector<std::string_view> names;
  for (const RecipeScheme& s : recipe_schemes()) {
    if (s.name == name) return &s;
    names.push_back(s.name);
  }
  return make_error(ErrorCode::kUsage, "--scheme: there is no \"{}\"; there are {}", name,
                    join(names));
}

// Why tool, scheme and method go together in no row, and what does.
Error refuse(const RecipeToolFacts& tool, std::string_view scheme, std::string_view method) {
  std::vector<std::string_view> methods;
  std::vector<std::string_view> schemes;
  std::vector<std::string_view> tools;
  for (const RecipeRow& r : recipe_rows()) {
    if (r.tool == tool.tool && r.scheme == scheme) methods.push_back(r.method);
    if (r.tool == tool.tool && r.method == method) schemes.push_back(r.scheme);
    if (r.scheme != scheme || (!method.empty() && r.method != method)) continue;
    for (const RecipeToolFacts& t : recipe_tools()) {
      if (t.tool == r.tool) add_once(tools, t.name);
    }
  }
  std::string use;
  const auto add = [&use](std::string_view what, const std::vector<std::string_view>& names) {
    if (!names.empty()) use += fmt::format("; {} {}", what, join(names));
  };
  if (methods.empty()) {
    add(fmt::format("{} is made by", scheme), tools);
    return make_error(ErrorCode::kUsage, "there is no recipe of {} for {}{}", scheme, tool.title,
                      use);
  }
  add(fmt::format("for {} take --method", scheme), methods);
  add(fmt::format("{} there makes", method), schemes);
  add(fmt::format("{} of {} is made by", scheme, method), tools);
  return make_error(ErrorCode::kUsage, "there is no recipe of {} by {} for {}{}", scheme, method,
                    tool.title, use);
}

Result<const RecipeRow*> find_row(const RecipeToolFacts& tool, std::string_view scheme,
                                  std::string_view method) {
  constexpr std::array<std::string_view, 4> kMethods = {"gptq", "awq", "smoothquant", "rtn"};
  if (!method.empty() && std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) {
    return make_error(ErrorCode::kUsage, "--method: there is no \"{}\"; there are {}", method,
                      fmt::join(kMethods, ", "));
  }
  for (const RecipeRow& r : recipe_rows()) {
    if (r.tool == tool.tool && r.scheme == scheme && (method.empty() || r.method == method)) {
      return &r;
    }
  }
  return refuse(tool, scheme, method);
}

Result<int32_t> group_size_of(const RecipeRow& row, int32_t asked) {
  // A row as one group is a scale a channel, which modelopt's configs with blocks are not made for.
  const std::span<const int32_t> sizes =
      std::span(kGroupSizes).subspan(row.tool == RecipeTool::kModelOpt ? 1 : 0);
  if (asked == 0) return row.groups ? kGroup : 0;
  if (!row.groups) {
    return make_error(ErrorCode::kUsage,
                      "--group-size: {} of {} has a layout of its own; leave it out", row.scheme,
                      row.name);
  }
  if (std::find(sizes.begin(), sizes.end(), asked) == sizes.end()) {
    return make_error(ErrorCode::kUsage, "--group-size: {} is none of {}", asked,
                      fmt::join(sizes, ", "));
  }
  return asked;
}

// Names go into Python and YAML, quoted; control characters in them are nobody's wish.
Status check_name(std::string_view flag, std::string_view name) {
  if (name.size() > RecipeLimits::kNameBytes) {
    return make_error(ErrorCode::kUsage, "{} has {} bytes, more than {}", flag, name.size(),
                      RecipeLimits::kNameBytes);
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return make_error(ErrorCode::kUsage, "{} holds a control character", flag);
    }
  }
  return {};
}

Status check_model(std::string_view model) {
  WEIR_TRY(check_name("--model", model));
  if (model.empty()) return make_error(ErrorCode::kUsage, "--model is empty");
  if (model.ends_with(".gguf")) {
    return make_error(ErrorCode::kUsage,
                      "--model: {} is GGUF; these tools read the Hugging Face folder it was made "
                      "of, and weir quantize makes GGUF smaller",
                      model);
  }
  return {};
}

Status check_calibration(const RecipeRow& row, const RecipeRequest& r) {
  WEIR_TRY(check_name("--calibration", r.calibration));
  if (row.calibrates && r.calibration.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--calibration is missing: {} of {} is fitted to a text of the kind that the "
                      "model will see",
                      row.method, row.scheme);
  }
  if (!row.calibrates && !r.calibration.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--calibration: {} of {} looks at the weights alone; leave it out",
                      row.method, row.scheme);
  }
  if (r.samples < 1 || r.samples > RecipeLimits::kSamples) {
    return make_error(ErrorCode::kUsage, "--samples: {} is not within 1 to {}", r.samples,
                      RecipeLimits::kSamples);
  }
  if (r.sequence_tokens < 1 || r.sequence_tokens > RecipeLimits::kSequenceTokens) {
    return make_error(ErrorCode::kUsage, "--sequence: {} is not within 1 to {}", r.sequence_tokens,
                      RecipeLimits::kSequenceTokens);
  }
  return {};
}

std::string comment(const Recipe& recipe, const RecipeScheme& scheme, std::string_view model) {
  return fmt::format(
      "# For {}; its keys were checked on {}, other versions may name them otherwise.\n"
      "# {}: {}; by {}. For {}\n",
      recipe.tool->title, kRecipeKeysChecked, scheme.name, scheme.says, recipe.row->method,
      text::json_quote(model, true));
}

}  // namespace

Result<Recipe> make_recipe(const RecipeRequest& request) {
  Recipe recipe;
  WEIR_ASSIGN(recipe.tool, find_tool(request.tool));
  WEIR_ASSIGN(const RecipeScheme* const scheme, find_scheme(request.scheme));
  WEIR_ASSIGN(recipe.row, find_row(*recipe.tool, scheme->name, request.method));
  WEIR_ASSIGN(recipe.group_size, group_size_of(*recipe.row, request.group_size));
  WEIR_TRY(check_model(request.model));
  WEIR_TRY(check_calibration(*recipe.row, request));
  std::string yaml;
  if (recipe.tool->tool == RecipeTool::kLlmCompressor) {
    yaml = recipe_yaml(*recipe.row, *scheme, recipe.group_size);
    recipe.yaml = comment(recipe, *scheme, request.model) + yaml;
  }
  recipe.script = recipe_script(recipe, *scheme, request, yaml);
  return recipe;
}

std::string recipe_yaml(const RecipeRow& row, const RecipeScheme& scheme, int32_t group_size) {
  std::string out = "quant_stage:\n  quant_modifiers:\n";
  if (row.method == "smoothquant")
    out += "    SmoothQuantModifier:\n      smoothing_strength: 0.8\n";
  if (row.method == "awq") out += "    AWQModifier:\n      duo_scaling: true\n      n_grid: 20\n";
  // AWQ and SmoothQuant move scale between weights and activations; another modifier rounds.
  const bool gptq = row.method == "gptq" || row.method == "smoothquant";
  out += gptq ? "    GPTQModifier:\n      dampening_frac: 0.01\n" : "    QuantizationModifier:\n";
  out += "      ignore: [lm_head]\n";
  if (!row.groups || group_size == kGroup) {
    return out + fmt::format("      targets: [Linear]\n      scheme: {}\n", row.name);
  }
  out += "      config_groups:\n        group_0:\n          targets: [Linear]\n";
  out += fmt::format(
      "          weights: {{num_bits: {}, type: {}, symmetric: {}, dynamic: false, {}}}\n",
      scheme.weight_bits, scheme.weight_type, scheme.symmetric,
      group_size < 0 ? "strategy: channel"
                     : fmt::format("strategy: group, group_size: {}", group_size));
  if (scheme.activation_bits < 16) {
    out += fmt::format(
        "          input_activations: {{num_bits: {}, type: {}, symmetric: true, dynamic: true, "
        "strategy: token}}\n",
        scheme.activation_bits, scheme.activation_type);
  }
  return out;
}

}  // namespace weir::ops
