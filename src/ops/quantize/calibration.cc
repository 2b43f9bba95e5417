#include "ops/quantize/calibration.h"

namespace weir::ops {

Status importance_of(const gguf::Tensor& t, const ImportanceMatrix* importance,
                     std::vector<float>& means) {
  means.clear();
  const ImportanceEntry* entry = importance == nullptr ? nullptr : importance->find(t.name);
  if (entry == nullptr) return {};
  return mean_squares(*entry, t.shape[0], t.shape.size() > 2 ? t.shape[2] : 1, means);
}

Result<const ErrorFeedback*> Feedbacks::of(const gguf::Tensor& t) {
  if (moments_ == nullptr) return nullptr;
  WEIR_ASSIGN(const auto moments, moments_->find(t.name, t.shape[0]));
  if (!moments) return nullptr;
  for (size_t i = 0; i < kept_.size(); ++i) {
    if (kept_[i].moments != moments->data()) continue;
    oldest_ = 1 - i;
    return &*kept_[i].feedback;
  }
  Kept& next = kept_[oldest_];
  next = {};  // its memory is free before more is taken
  auto feedback = ErrorFeedback::create(*moments, t.shape[0], kGptqDamping, pool_);
  if (!feedback.ok()) return feedback.error().with_context(t.name);
  next = {moments->data(), std::move(*feedback)};
  oldest_ = 1 - oldest_;
  return &*next.feedback;
}

}  // namespace weir::ops
