// Which checkpoint an engine loads, and whether its weights are those of the plan.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "ops/config_write/engine_config.h"
#include "ops/data/models.h"
#include "ops/plan/model_shape.h"
#include "text/ascii_lower.h"

namespace weir::ops {
namespace {

constexpr double kSameBits = 0.5;  // scales of blocks come on top of a type's own bits

const KnownModel* known_model(std::string_view id) {
  static const auto known = built_in_models();
  if (!known.ok()) return nullptr;
  const auto it =
      std::find_if(known->begin(), known->end(), [&](const KnownModel& m) { return m.id == id; });
  return it == known->end() ? nullptr : &*it;
}

// Of the config.json at a path, or in the folder there; 0: none that can be read.
double bits_on_disk(const std::string& source) {
  std::filesystem::path path(source);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) path /= "config.json";
  if (path.extension() != ".json" || !std::filesystem::is_regular_file(path, error)) return 0;
  const auto shape = read_model_shape_file(path.string());
  return shape.ok() ? shape->bits_per_weight : 0;
}

}  // namespace

double stored_bits(const PlanFile& plan) {
  const KnownModel* m = known_model(plan.model_source);
  if (m == nullptr) return bits_on_disk(plan.model_source);
  const auto shape = shape_of(*m);
  return shape.ok() ? shape->bits_per_weight : 0;
}

std::string model_reference(const PlanFile& plan) {
  const KnownModel* m = known_model(plan.model_source);
  if (m != nullptr) return m->name;
  // Engines load the folder of a config.json.
  const std::filesystem::path path(plan.model_source);
  return path.filename() == "config.json" && path.has_parent_path() ? path.parent_path().string()
                                                                    : plan.model_source;
}

bool quantizes_at_load(const PlanFile& plan, std::string_view engine) {
  // --quantization fp8, in every version that is known.
  return (engine == "vllm" || engine == "sglang") && plan.precision == "fp8" &&
         stored_bits(plan) >= 16;
}

Status check_weights(const PlanFile& plan, std::string_view engine) {
  const double stored = stored_bits(plan);
  if (stored <= plan.bits_per_weight + kSameBits || quantizes_at_load(plan, engine)) return {};
  return make_error(ErrorCode::kUsage,
                    "the plan has {:g} bits a weight, {} has {:g}, and {} does not quantize it "
                    "while loading: give the quantized checkpoint with --model-source (weir "
                    "quantize makes one)",
                    plan.bits_per_weight, model_reference(plan), stored, engine);
}

Status check_gguf(const PlanFile& plan) {
  const std::string model = model_reference(plan);
  if (text::ascii_lower(model).find("gguf") != std::string::npos) return {};
  return make_error(
      ErrorCode::kUsage,
      "llama.cpp loads GGUF, and {} is none: name one with --model-source, a file "
      "(model.gguf) or a repository (OWNER/NAME-GGUF:Q4_K_M); weir quantize makes one",
      model);
}

}  // namespace weir::ops
