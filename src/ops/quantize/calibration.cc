#include "ops/quantize/calibration.h"

namespace weir::ops {
namespace {

// Those of x / divided.
void scale_moments(std::span<const float> moments, std::span<const float> divided,
                   std::vector<float>& out) {
  out.assign(moments.begin(), moments.end());
  size_t at = 0;
  for (size_t i = 0; i < divided.size(); ++i) {
    for (size_t j = 0; j <= i; ++j) out[at++] /= divided[i] * divided[j];
  }
}

}  // namespace

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

Result<const ErrorFeedback*> Feedbacks::of(const std::string& name, size_t cols,
                                           std::span<const float> divided) {
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
  std::vector<float> scaled;
  if (!divided.empty()) scale_moments(*moments, divided, scaled);
  auto feedback = ErrorFeedback::create(divided.empty() ? *moments : std::span<const float>(scaled),
                                        cols, kGptqDamping, pool_);
  if (!feedback.ok()) return feedback.error().with_context(name);
  next = {moments->data(), std::move(*feedback)};
  oldest_ = 1 - oldest_;
  return &*next.feedback;
}

}  // namespace weir::ops
