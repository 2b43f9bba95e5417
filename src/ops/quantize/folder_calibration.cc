#include "ops/quantize/folder_calibration.h"

#include <algorithm>
#include <array>

#include "os/cpu.h"
#include "quant/levels.h"

namespace weir::ops {
namespace {

// Codes are levels as they stand.
constexpr std::array<float, 256> kLevels = [] {
  std::array<float, 256> levels{};
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i);
  return levels;
}();

}  // namespace

GroupChooser::GroupChooser(const ErrorFeedback& feedback)
    : feedback_(feedback), isa_(quant::best_search_isa(os::detect_cpu())) {}

Status GroupChooser::choose(const checkpoint::GroupedRows& x, std::span<uint8_t> codes) const {
  if (x.cols != feedback_.cols()) {
    return make_error(ErrorCode::kInternal, "{} columns, and second moments of {}", x.cols,
                      feedback_.cols());
  }
  const size_t width = x.cols / x.groups;
  std::vector<quant::RowLevels> levels(x.rows);
  for (size_t row = 0; row < x.rows; ++row) {
    quant::RowLevels& l = levels[row];
    l.level = std::span(kLevels).first(size_t{1} << x.bits);
    l.unit.resize(x.cols);
    l.offset.resize(x.cols);
    for (size_t g = 0; g < x.groups; ++g) {
      const float scale = x.scales[row * x.groups + g];
      const auto zero = static_cast<float>(x.zeros[row * x.groups + g]);
      std::fill_n(l.unit.begin() + static_cast<ptrdiff_t>(g * width), width, scale);
      std::fill_n(l.offset.begin() + static_cast<ptrdiff_t>(g * width), width, -zero * scale);
    }
  }
  feedback_.choose(levels, x.values, isa_, codes);
  return {};
}

Result<checkpoint::MatrixCalibration> MeasuredMatrices::of(const checkpoint::MatrixKey& matrix,
                                                           size_t cols,
                                                           std::span<const float> folded) {
  if (matrix.expert >= 0) return of_expert(matrix, cols);
  const std::string& name = matrix.name;
  checkpoint::MatrixCalibration found;
  WEIR_ASSIGN(found.weights, weights(name, cols, folded));
  WEIR_ASSIGN(const ErrorFeedback* feedback, feedbacks_.of(name, cols, folded));
  if (feedback != nullptr) found.chooser = &chooser_.emplace(*feedback);
  const bool known = feedback != nullptr || (calibration_.moments == nullptr && !weights_.empty());
  unknown_ += known ? 0U : 1U;
  const ImportanceEntry* entry =
      calibration_.importance == nullptr ? nullptr : calibration_.importance->find(name);
  if (entry != nullptr && !entry->largest.empty())
    found.largest_input = *std::max_element(entry->largest.begin(), entry->largest.end());
  return found;
}

Result<checkpoint::MatrixCalibration> MeasuredMatrices::of_expert(
    const checkpoint::MatrixKey& matrix, size_t cols) {
  const ImportanceEntry* entry =
      calibration_.importance == nullptr ? nullptr : calibration_.importance->find(matrix.name);
  if (entry == nullptr) {
    ++unknown_;
    return checkpoint::MatrixCalibration{};
  }
  WEIR_ASSIGN(ExpertInputs inputs, expert_inputs(*entry, static_cast<size_t>(matrix.expert), cols));
  unseen_ += inputs.seen ? 0U : 1U;
  weights_ = std::move(inputs.means);
  return checkpoint::MatrixCalibration{
      .weights = weights_, .chooser = nullptr, .largest_input = inputs.largest};
}

checkpoint::CacheCalibration MeasuredMatrices::cache_of(int32_t layer) {
  const CachedLargest* found =
      calibration_.importance == nullptr ? nullptr : calibration_.importance->cached(layer);
  if (found == nullptr) return {};
  return {found->keys, found->values};
}

Result<std::span<const float>> MeasuredMatrices::weights(const std::string& name, size_t cols,
                                                         std::span<const float> folded) {
  WEIR_TRY(column_weights(calibration_, name, cols, weights_));
  for (size_t i = 0; i < std::min(weights_.size(), folded.size()); ++i)
    weights_[i] /= folded[i] * folded[i];
  return std::span<const float>(weights_);
}

}  // namespace weir::ops
