#include "ops/quantize/mixed.h"

#include <algorithm>
#include <cmath>

#include "ops/quantize/convert.h"
#include "os/cpu.h"
#include "quant/codec.h"
#include "quant/levels.h"
#include "quant/quantize.h"

namespace weir::ops {
namespace {

using gguf::TensorType;

// Rows of a tensor that errors are taken from, spread over it.
constexpr size_t kSampleRows = 64;

constexpr TensorType kTypes[] = {TensorType::kQ2_K,   TensorType::kQ3_K, TensorType::kIQ4_XS,
                                 TensorType::kQ4_K,   TensorType::kQ5_K, TensorType::kQ6_K,
                                 TensorType::kIQ4_NL, TensorType::kQ4_0, TensorType::kQ4_1,
                                 TensorType::kQ5_0,   TensorType::kQ5_1, TensorType::kQ8_0};

// Rows of a tensor, and what weighs their errors.
struct Sample {
  size_t cols = 0;
  std::vector<float> values;  // [rows, cols]
  // [rows, cols], or empty: all alike
  std::vector<float> importance;
  const ErrorFeedback* feedback = nullptr;  // where there are second moments
  bool compensate = false;                  // codes are chosen by it where the type allows
};

Result<Sample> sample_of(const PlannedTensor& p, const Calibration& calibration,
                         kernels::ThreadPool& pool, Feedbacks& feedbacks) {
  const gguf::Tensor& t = *p.source;
  Sample s;
  s.cols = t.shape[0];
  std::vector<float> means;
  const size_t matrices = t.shape.size() > 2 ? t.shape[2] : 1;
  if (p.important) WEIR_TRY(column_weights(calibration, t, nullptr, pool, means));
  const size_t rows = t.rows();
  const size_t count = std::min(rows, kSampleRows);
  const size_t row_bytes = t.data.size() / rows;
  s.values.resize(count * s.cols);
  for (size_t i = 0; i < count; ++i) {
    const size_t row = i * rows / count;
    WEIR_TRY(quant::decode(t.type, t.data.subspan(row * row_bytes, row_bytes),
                           std::span(s.values).subspan(i * s.cols, s.cols)));
    if (means.empty()) continue;
    const size_t matrix = row / (rows / matrices) % (means.size() / s.cols);
    s.importance.insert(s.importance.end(), means.begin() + static_cast<ptrdiff_t>(matrix * s.cols),
                        means.begin() + static_cast<ptrdiff_t>((matrix + 1) * s.cols));
  }
  WEIR_ASSIGN(s.feedback, feedbacks.of(t.name, t.shape[0]));
  s.compensate = s.feedback != nullptr && calibration.compensate;
  return s;
}

double weighted_error(const Sample& s, std::span<const float> quantized, quant::SearchIsa isa) {
  if (s.feedback != nullptr) return s.feedback->output_error(s.values, quantized, isa);
  double sum = 0;
  for (size_t i = 0; i < quantized.size(); ++i) {
    const double e = static_cast<double>(s.values[i]) - quantized[i];
    sum += e * e * (s.importance.empty() ? 1.0 : s.importance[i]);
  }
  return sum;
}

// plain: whatever the sample says, codes are those of the search.
Result<double> error_as(const Sample& s, TensorType type, bool plain) {
  const size_t rows = s.values.size() / s.cols;
  const size_t row_bytes = bytes_as(type, s.cols);
  std::vector<std::byte> bytes(rows * row_bytes);
  const quant::SearchIsa isa = quant::best_search_isa(os::detect_cpu());
  for (size_t r = 0; r < rows; ++r) {
    const auto importance = s.importance.empty()
                                ? std::span<const float>()
                                : std::span(s.importance).subspan(r * s.cols, s.cols);
    WEIR_TRY(quant::quantize_rows(type, std::span(s.values).subspan(r * s.cols, s.cols), s.cols,
                                  importance, std::span(bytes).subspan(r * row_bytes, row_bytes),
                                  isa));
  }
  if (!plain && s.compensate && quant::has_levels(type))
    WEIR_TRY(s.feedback->apply(type, s.values, isa, bytes));
  std::vector<float> back(s.values.size());
  WEIR_TRY(quant::decode(type, bytes, back));
  return weighted_error(s, back, isa);
}

Result<std::vector<TypeOption>> options_of(const gguf::Tensor& t, const Sample& sample,
                                           const Sensitivity& sensitivity, double kl,
                                           std::span<const TensorType> types,
                                           kernels::ThreadPool& pool) {
  WEIR_ASSIGN(const double reference, error_as(sample, sensitivity.type, true));
  std::vector<TypeOption> options;
  for (const TensorType type : types) {
    if (t.shape[0] % gguf::type_info(type)->block_elements == 0)
      options.push_back({type, bytes_as(type, t.elements()), 0});
  }
  std::vector<Status> status(options.size());
  pool.parallel_for(options.size(), [&](size_t i, size_t) {
    auto error = error_as(sample, options[i].type, false);
    if (!error.ok()) {
      status[i] = error.error();
    } else {
      options[i].loss = reference > 0 ? std::max(0.0, kl) * *error / reference : 0;
    }
  });
  for (const Status& s : status) {
    if (!s.ok()) return s.error().with_context(t.name);
  }
  if (options.empty()) {
    return make_error(ErrorCode::kUsage,
                      "none of the types to choose from has blocks that fit the {} columns of {}",
                      t.shape[0], t.name);
  }
  return options;
}

}  // namespace

std::span<const TensorType> mixed_types() { return kTypes; }

Result<MixedPlan> plan_mixed(const QuantizePlan& plan, const Sensitivity& sensitivity,
                             const Calibration& calibration, const MixedOptions& options,
                             kernels::ThreadPool& pool,
                             const std::function<void(size_t, size_t)>& progress) {
  const auto types = options.types.empty() ? mixed_types() : std::span(options.types);
  Feedbacks feedbacks(calibration.moments, pool);
  MixedPlan mixed;
  uint64_t kept = 0;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    if (progress) progress(i, plan.tensors.size());
    const PlannedTensor& p = plan.tensors[i];
    if (!p.quantizable) {
      kept += p.bytes;
      continue;
    }
    const auto found = sensitivity.kl.find(p.source->name);
    if (found == sensitivity.kl.end()) {
      return make_error(ErrorCode::kCorrupt,
                        "the sensitivity of '{}' was not measured; give the text that the others "
                        "were measured on with --data",
                        p.source->name);
    }
    WEIR_ASSIGN(const Sample sample, sample_of(p, calibration, pool, feedbacks));
    MixedChoice choice{p.source, found->second, {}, 0};
    WEIR_ASSIGN(choice.options,
                options_of(*p.source, sample, sensitivity, found->second, types, pool));
    mixed.choices.push_back(std::move(choice));
  }
  std::vector<std::vector<TypeOption>> all;
  for (const MixedChoice& c : mixed.choices) all.push_back(c.options);
  Allocation allocation;
  if (options.bits_per_weight) {
    const auto most =
        static_cast<uint64_t>(*options.bits_per_weight / 8 * static_cast<double>(plan.weights));
    if (most <= kept) {
      return make_error(ErrorCode::kInvalidValue,
                        "{} bits per weight are {} bytes; what is not quantized takes {} already",
                        *options.bits_per_weight, most, kept);
    }
    auto found = allocate_bytes(all, most - kept);
    if (!found.ok()) {
      return found.error().with_context(fmt::format("{} bits per weight, less {} bytes that stay",
                                                    *options.bits_per_weight, kept));
    }
    allocation = std::move(*found);
  } else {
    WEIR_ASSIGN(allocation, allocate_loss(all, options.most_kl.value_or(0)));
  }
  for (size_t i = 0; i < all.size(); ++i) mixed.choices[i].chosen = allocation.choice[i];
  mixed.predicted_kl = allocation.loss;
  mixed.windows = sensitivity.windows;
  return mixed;
}

}  // namespace weir::ops
