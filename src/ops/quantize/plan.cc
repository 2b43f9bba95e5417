#include <algorithm>

#include "ops/quantize/convert.h"
#include "ops/quantize/float_types.h"
#include "ops/quantize/quantize.h"
#include "quant/codec.h"
#include "quant/levels.h"
#include "quant/quantize.h"

namespace weir::ops {
namespace {

using gguf::TensorType;

bool is_integer(TensorType type) {
  return type == TensorType::kI8 || type == TensorType::kI16 || type == TensorType::kI32 ||
         type == TensorType::kI64;
}

// Checkpoints of other formats keep everything in one 16-bit type; readers of GGUF want vectors,
// norms and routers in F32.
TensorType kept_type(const gguf::File& file, const gguf::Tensor& t) {
  const bool small = t.rows() == 1 || t.name.ends_with("_norm.weight") ||
                     t.name.find("ffn_gate_inp.weight") != std::string::npos ||
                     t.name.find("shexp_gate") != std::string::npos;
  const bool half = t.type == TensorType::kF16 || t.type == TensorType::kBF16;
  return file.assembled() && small && half ? TensorType::kF32 : t.type;
}

Status check_importance(const PlannedTensor& p, const Mix& mix, const ImportanceMatrix* importance,
                        bool rotated) {
  if (p.copied || p.important || !requires_importance(p.source->name, p.type, mix)) return {};
  if (rotated) {
    return make_error(ErrorCode::kUsage,
                      "{} is to become {}, which is too coarse without importance, and of rotated "
                      "inputs that comes from second moments alone, which have nothing of it; name "
                      "another type with --tensor",
                      p.source->name, gguf::type_name(p.type));
  }
  if (importance == nullptr) {
    return make_error(ErrorCode::kUsage,
                      "{} is to become {}, which is too coarse without an importance matrix: give "
                      "one with --imatrix (weir imatrix makes it)",
                      p.source->name, gguf::type_name(p.type));
  }
  return make_error(ErrorCode::kUsage,
                    "{} is to become {}, which is too coarse without importance, and the matrix "
                    "has none of it; name another type with --tensor",
                    p.source->name, gguf::type_name(p.type));
}

// What the calibration says of a tensor.
Status measure(const Mix& mix, const Calibration& calibration, const TensorTransform* transform,
               PlannedTensor& p) {
  const gguf::Tensor& t = *p.source;
  p.important = p.compensated = false;
  if (!p.copied && !is_float(p.type)) {
    WEIR_ASSIGN(p.important, has_column_weights(calibration, t, transform));
  }
  const bool rotated = transform != nullptr && transform->column_rotation != nullptr;
  WEIR_TRY(check_importance(p, mix, calibration.importance, rotated));
  const bool gptq = calibration.moments != nullptr && calibration.compensate;
  if (gptq && !p.copied && quant::has_levels(p.type)) {
    WEIR_ASSIGN(const auto moments, calibration.moments->find(t.name, t.shape[0]));
    p.compensated = moments.has_value();
  }
  return {};
}

// An importance matrix of which nothing is about this model was given by mistake.
Status check_same_model(const gguf::File& file, const ImportanceMatrix& importance) {
  const auto& tensors = file.tensors();
  if (std::any_of(tensors.begin(), tensors.end(),
                  [&](const gguf::Tensor& t) { return importance.find(t.name) != nullptr; }))
    return {};
  return make_error(
      ErrorCode::kInvalidValue,
      "none of the {} matrices of the importance matrix (the first is '{}') is in this model: it "
      "is of another; weir imatrix makes one of this model",
      importance.entries.size(), importance.entries.empty() ? "" : importance.entries.front().name);
}

// Files of GGUF hold other things as well: importance, moments, adapters, a vocabulary alone.
Status check_model(const gguf::File& file) {
  WEIR_ASSIGN(const std::string_view type, file.string_or("general.type", "model"));
  if (type != "model" && type != "mmproj") {
    return make_error(ErrorCode::kUnsupported,
                      "{}: general.type is '{}': it is no model, and there is nothing to quantize",
                      file.path(), type);
  }
  const auto& tensors = file.tensors();
  if (std::any_of(tensors.begin(), tensors.end(),
                  [](const gguf::Tensor& t) { return t.rows() > 1; }))
    return {};
  return make_error(ErrorCode::kUnsupported,
                    "{}: there are no matrices of a model in it (it has {} tensors), and nothing "
                    "to quantize",
                    file.path(), tensors.size());
}

}  // namespace

Result<QuantizePlan> plan_quantize(const gguf::File& file, const Mix& mix,
                                   const MixOptions& options, const Calibration& calibration) {
  WEIR_TRY(check_model(file));
  if (calibration.importance != nullptr) WEIR_TRY(check_same_model(file, *calibration.importance));
  WEIR_ASSIGN(const ModelFacts facts, model_facts(file));
  WEIR_ASSIGN(const std::vector<TensorChoice> choices, choose_types(file, facts, mix, options));
  QuantizePlan plan;
  plan.mix = mix;
  for (size_t i = 0; i < choices.size(); ++i) {
    const gguf::Tensor& t = file.tensors()[i];
    PlannedTensor p;
    p.source = &t;
    p.wanted = choices[i].wanted;
    p.type = choices[i].quantizable ? choices[i].type : kept_type(file, t);
    // Tables of integers (a token's experts) are no weights.
    if (is_integer(t.type)) p.type = t.type;
    p.quantizable = choices[i].quantizable && !choices[i].by_hand && !is_integer(t.type);
    p.copied = p.type == t.type;
    // A float that stands among quantized tensors is kept, and nothing was to become of it.
    p.already = p.copied && choices[i].quantizable && !is_integer(t.type) &&
                (!is_float(t.type) || t.type == mix.type);
    p.bytes = bytes_as(p.type, t.elements());
    if (!p.copied && (!quant::can_decode(t.type) || !quant::can_quantize(p.type))) {
      return make_error(
          ErrorCode::kUnsupported, "{}: cannot make {} of {}; types that can be written are {}",
          t.name, gguf::type_name(p.type), gguf::type_name(t.type), quant::quantizable_types());
    }
    WEIR_TRY(measure(mix, calibration, nullptr, p));
    if (!p.copied && !is_float(t.type)) ++plan.requantized;
    plan.source_bytes += t.data.size();
    plan.bytes += p.bytes;
    plan.weights += t.elements();
    plan.tensors.push_back(p);
  }
  return plan;
}

Calibration used_calibration(const QuantizePlan& plan, const Calibration& calibration) {
  if (calibration.importance == nullptr) return calibration;
  for (const PlannedTensor& p : plan.tensors) {
    const TensorTransform* transform = find_transform(plan.transforms, p.source->name);
    // Of rotated inputs second moments tell.
    if (transform != nullptr && transform->column_rotation != nullptr) continue;
    const bool scaled = transform != nullptr && !transform->columns.empty();
    if ((p.important || scaled) && calibration.importance->find(p.source->name) != nullptr)
      return calibration;
  }
  Calibration used = calibration;
  used.importance = nullptr;
  return used;
}

Status transform_plan(QuantizePlan& plan, TensorTransforms transforms,
                      const Calibration& calibration) {
  for (PlannedTensor& p : plan.tensors) {
    const TensorTransform* transform = find_transform(transforms, p.source->name);
    if (transform == nullptr) continue;
    if (p.copied && !quant::can_quantize(p.type)) {
      return make_error(ErrorCode::kUnsupported,
                        "{} is to stay {}, which cannot be written anew once it is transformed; "
                        "types that can are {}",
                        p.source->name, gguf::type_name(p.type), quant::quantizable_types());
    }
    if (p.copied && !is_float(p.type)) ++plan.requantized;
    p.copied = false;
    if (!transform->values.empty()) {
      plan.bytes -= p.bytes;
      p.type = TensorType::kF32;
      p.bytes = bytes_as(p.type, p.source->elements());
      plan.bytes += p.bytes;
    }
    WEIR_TRY(measure(plan.mix, calibration, transform, p));
  }
  plan.transforms = std::move(transforms);
  return {};
}

}  // namespace weir::ops
