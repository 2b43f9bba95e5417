// What was measured on a text, for folders that GPU engines read: weights of the columns in the
// search for scales, GPTQ's choice of codes, and the largest inputs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/quantize_calibration.h"
#include "ops/quantize/calibration.h"

namespace weir::ops {

// GPTQ on integer codes in groups. Borrows the factor.
class GroupChooser final : public checkpoint::CodeChooser {
 public:
  explicit GroupChooser(const ErrorFeedback& feedback);
  Status choose(const checkpoint::GroupedRows& rows, std::span<uint8_t> codes) const override;

 private:
  const ErrorFeedback& feedback_;
  quant::SearchIsa isa_;
};

// One thread.
class MeasuredMatrices final : public checkpoint::FolderCalibration {
 public:
  // Borrows what `calibration` names. Its moments, where given, choose the codes. The weights are
  // the importance or, without it, the moments' diagonal.
  MeasuredMatrices(const Calibration& calibration, kernels::ThreadPool& pool)
      : calibration_(calibration), feedbacks_(calibration.moments, pool) {}

  // Experts' matrices have no moments: their importance, each its own, weighs their columns.
  Result<checkpoint::MatrixCalibration> of(const checkpoint::MatrixKey& matrix, size_t cols,
                                           std::span<const float> folded) override;
  checkpoint::CacheCalibration cache_of(int32_t layer) override;
  // Matrices asked for that had no moments, or without moments (or of experts) no importance.
  size_t unknown() const { return unknown_; }
  // Experts' matrices that no token met: what all experts of the layer met stands for theirs.
  size_t unseen() const { return unseen_; }

 private:
  Result<checkpoint::MatrixCalibration> of_expert(const checkpoint::MatrixKey& matrix, size_t cols);
  Result<std::span<const float>> weights(const std::string& name, size_t cols,
                                         std::span<const float> folded);

  Calibration calibration_;
  Feedbacks feedbacks_;
  std::optional<GroupChooser> chooser_;
  std::vector<float> weights_;
  size_t unknown_ = 0, unseen_ = 0;
};

}  // namespace weir::ops
