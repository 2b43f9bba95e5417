#include "ops/quantize/calibration.h"

#include <algorithm>
#include <cmath>

namespace weir::ops {
Status importance_of(const gguf::Tensor& t, const ImportanceMatrix* importance,
                     std::vector<float>& means) {
  means.clear();
  const ImportanceEntry* entry = importance == nullptr ? nullptr : importance->find(t.name);
  if (entry == nullptr) return {};
  return mean_squares(*entry, t.shape[0], t.shape.size() > 2 ? t.shape[2] : 1, means);
}

Status column_weights(const Calibration& calibration, const std::string& name, size_t cols,
                      std::vector<float>& means) {
  means.clear();
  const ImportanceEntry* entry =
      calibration.importance == nullptr ? nullptr : calibration.importance->find(name);
  if (entry != nullptr) return mean_squares(*entry, cols, 1, means);
  if (calibration.moments == nullptr) return {};
  WEIR_ASSIGN(const auto moments, calibration.moments->find(name, cols));
  if (!moments) return {};
  for (size_t i = 0; i < cols; ++i) means.push_back((*moments)[i * (i + 1) / 2 + i]);
  return {};
}

Status column_weights(const Calibration& calibration, const gguf::Tensor& t,
                      const TensorTransform* transform, kernels::ThreadPool& pool,
                      std::vector<float>& means) {
  const size_t cols = t.shape[0];
  if (transform != nullptr && transform->column_rotation != nullptr) {
    means.clear();
    WEIR_ASSIGN(const bool there, has_column_weights(calibration, t, transform));
    if (!there) return {};
    WEIR_ASSIGN(const auto moments, calibration.moments->find(t.name, cols));
    std::vector<float> rotated;
    transform_moments(*transform, *moments, cols, pool, rotated);
    for (size_t i = 0; i < cols; ++i) {
      const float square = rotated[i * (i + 1) / 2 + i];
      if (!std::isfinite(square)) {
        return make_error(ErrorCode::kCorrupt,
                          "{}: rotated second moments are {}; collect them again", t.name, square);
      }
      means.push_back(std::max(0.0F, square));
    }
    return {};
  }
  if (t.shape.size() > 2) {
    WEIR_TRY(importance_of(t, calibration.importance, means));
  } else {
    WEIR_TRY(column_weights(calibration, t.name, cols, means));
  }
  if (transform != nullptr) transform_inputs(*transform, means);
  return {};
}

Result<bool> has_column_weights(const Calibration& calibration, const gguf::Tensor& t,
                                const TensorTransform* transform) {
  const bool rotated = transform != nullptr && transform->column_rotation != nullptr;
  if (!rotated && calibration.importance != nullptr) {
    std::vector<float> means;
    WEIR_TRY(importance_of(t, calibration.importance, means));
    if (!means.empty()) return true;
  }
  if (calibration.moments == nullptr || t.shape.size() > 2) return false;
  WEIR_ASSIGN(const auto moments, calibration.moments->find(t.name, t.shape[0]));
  return moments.has_value();
}

Result<const ErrorFeedback*> Feedbacks::of(const std::string& name, size_t cols,
                                           std::span<const float> divided) {
  TensorTransform transform;
  transform.columns.assign(divided.begin(), divided.end());
  return of(name, cols, divided.empty() ? nullptr : &transform);
}

Result<const ErrorFeedback*> Feedbacks::of(const std::string& name, size_t cols,
                                           const TensorTransform* transform) {
  if (moments_ == nullptr) return nullptr;
  WEIR_ASSIGN(const auto moments, moments_->find(name, cols));
  if (!moments) return nullptr;
  for (size_t i = 0; i < kept_.size(); ++i) {
    if (kept_[i].moments != moments->data()) continue;
    oldest_ = 1 - i;
    return &*kept_[i].feedback;
  }
  Kept& next = kept_[oldest_];
  next = {};  // its memory is free before more is taken
  std::vector<float> transformed;
  const bool other_inputs = transform != nullptr &&
                            (!transform->columns.empty() || transform->column_rotation != nullptr);
  if (other_inputs) transform_moments(*transform, *moments, cols, pool_, transformed);
  auto feedback =
      ErrorFeedback::create(other_inputs ? transformed : *moments, cols, kGptqDamping, pool_);
  if (!feedback.ok()) return feedback.error().with_context(name);
  next = {moments->data(), std::move(*feedback)};
  oldest_ = 1 - oldest_;
  return &*next.feedback;
}

}  // namespace weir::ops
