#include "ops/intake/read_model.h"

#include "ops/intake/rounded.h"

namespace weir::ops {
namespace {

constexpr double kBillion = 1e9;
constexpr double kKvElementBytes = 2;

std::string attention_kind(const ModelShape& m) {
  if (m.count(Mixer::kState) > 0) return "hybrid";
  if (m.kv_rank > 0) return "mla";
  if (m.kv_heads == 1) return "mqa";
  return m.kv_heads < m.heads ? "gqa" : "mha";
}

}  // namespace

Result<Intake> intake_of_model(const ModelShape& shape, const std::string& name,
                               const std::string& tokenizer, const std::string& source,
                               const std::string& evidence) {
  Intake out;
  const auto measured = [&](std::string_view path, config::Value value) {
    return out.set(path, std::move(value), Origin::kMeasured, evidence);
  };
  const auto inferred = [&](std::string_view path, config::Value value, std::string_view how) {
    return out.set(path, std::move(value), Origin::kInferred, fmt::format("{}: {}", evidence, how));
  };
  if (!name.empty()) WEIR_TRY(measured("model.name", name));
  WEIR_TRY(measured("model.source", source));
  if (!shape.architecture.empty()) WEIR_TRY(measured("model.architecture", shape.architecture));
  const double billions = rounded(shape.parameters() / kBillion);
  if (shape.stated_parameters) {
    WEIR_TRY(measured("model.parameters_b", billions));
  } else {
    WEIR_TRY(inferred("model.parameters_b", billions, "counted from its shape"));
  }
  WEIR_TRY(inferred("model.active_parameters_b", rounded(shape.active_parameters() / kBillion),
                    "counted from its shape, without the embedding"));
  if (shape.context_tokens > 0) {
    WEIR_TRY(inferred("model.context_tokens", shape.context_tokens,
                      "the longest that it was made for; give what is needed"));
  }
  if (!shape.precision.empty()) WEIR_TRY(measured("model.precision", shape.precision));
  WEIR_TRY(measured("model.bits_per_weight", rounded(shape.bits_per_weight)));
  WEIR_TRY(inferred("model.attention", attention_kind(shape), "by its heads"));
  if (!tokenizer.empty()) WEIR_TRY(measured("model.tokenizer", tokenizer));
  WEIR_TRY(measured("model.vocabulary", shape.vocabulary));
  const double kv = shape.kv_bytes_per_token(Mixer::kFull, kKvElementBytes) +
                    shape.kv_bytes_per_token(Mixer::kWindow, kKvElementBytes);
  WEIR_TRY(inferred("model.kv_bytes_per_token", kv,
                    "2 bytes a number, all layers with attention, before a window is full"));
  return out;
}

}  // namespace weir::ops
