#include "ops/quantize/channel_scales.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "os/cpu.h"

namespace weir::ops {
namespace {

// Rows that factors are tried on: with moments an error takes a product of their columns for each.
constexpr size_t kSampleRows = 256;

// What counts as magnitude of a column that is 0: as in SmoothQuant's own code.
constexpr float kLeastMagnitude = 1e-5F;

// (largest · least)^(-1/2) times values: about 1, so that folded norms keep their size.
void center(std::vector<float>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const float middle = std::sqrt(*low) * std::sqrt(*high);
  for (float& v : values) v /= middle;
}

// AWQ's factors of one place, tried one exponent after another.
class AwqTrial {
 public:
  AwqTrial(const checkpoint::ScalePlaces& plan, size_t place, std::span<const float> means,
           const ErrorFeedback* feedback)
      : plan_(plan),
        place_(place),
        feedback_(feedback),
        isa_(quant::best_search_isa(os::detect_cpu())),
        means_(means.begin(), means.end()) {
    // Columns that met next to nothing say nothing about how they should be scaled.
    double mean = 0;
    for (const float m : means_) mean += m / static_cast<double>(means_.size());
    for (float& m : means_) m = std::max(m, static_cast<float>(mean * 1e-6));
  }

  Status run(kernels::ThreadPool& pool) {
    // An input that is 0 throughout asks for no factors.
    if (*std::max_element(means_.begin(), means_.end()) <= 0) return {};
    WEIR_ASSIGN(values_, plan_.sample(place_, kSampleRows));
    std::array<double, kAwqSteps> errors{};
    std::array<Status, kAwqSteps> status;
    pool.parallel_for(errors.size(), [&](size_t i, size_t) {
      const Result<double> found = error(factors(i));
      if (found.ok()) {
        errors[i] = *found;
      } else {
        status[i] = found.error();
      }
    });
    for (const Status& s : status) WEIR_TRY(s);
    const auto best = std::min_element(errors.begin(), errors.end());
    step_ = static_cast<size_t>(best - errors.begin());
    before = errors[0];
    after = *best;
    return {};
  }

  std::vector<float> factors() const { return factors(step_); }
  bool changes() const { return step_ > 0; }

  double before = 0, after = 0;

 private:
  std::vector<float> factors(size_t step) const {
    const float exponent = static_cast<float>(step) / kAwqSteps / 2;
    std::vector<float> f(means_.size());
    for (size_t i = 0; i < f.size(); ++i) f[i] = std::pow(means_[i], exponent);
    center(f);
    return f;
  }

  Result<double> error(const std::vector<float>& factors) const {
    const size_t cols = means_.size();
    std::vector<float> weights(cols), rounded(values_.size());
    for (size_t i = 0; i < cols; ++i) weights[i] = means_[i] / (factors[i] * factors[i]);
    for (size_t at = 0; at < values_.size(); ++at) rounded[at] = values_[at] * factors[at % cols];
    WEIR_TRY(plan_.round_trip(place_, kSampleRows, weights, rounded));
    for (size_t at = 0; at < values_.size(); ++at) rounded[at] /= factors[at % cols];
    if (feedback_ != nullptr) return feedback_->output_error(values_, rounded, isa_);
    double sum = 0;
    for (size_t at = 0; at < values_.size(); ++at) {
      const double e = values_[at] - rounded[at];
      sum += e * e * means_[at % cols];
    }
    return sum;
  }

  const checkpoint::ScalePlaces& plan_;
  size_t place_;
  const ErrorFeedback* feedback_;
  quant::SearchIsa isa_;
  std::vector<float> means_;
  std::vector<float> values_;  // [sampled rows, cols]
  size_t step_ = 0;
};

}  // namespace

Result<ChannelScales> fold_awq(checkpoint::ScalePlaces& plan, const Calibration& calibration,
                               kernels::ThreadPool& pool, const ScalesProgress& progress) {
  ChannelScales done;
  Feedbacks feedbacks(calibration.moments, pool);
  std::vector<float> means;
  for (size_t i = 0; i < plan.places().size(); ++i) {
    const checkpoint::ScalePlaces::Place& place = plan.places()[i];
    WEIR_TRY(column_weights(calibration, place.known_as, place.cols, means));
    if (means.empty()) {
      ++done.unmeasured;
    } else {
      WEIR_ASSIGN(const ErrorFeedback* feedback, feedbacks.of(place.known_as, place.cols));
      AwqTrial trial(plan, i, means, feedback);
      WEIR_TRY(trial.run(pool));
      done.error_before += trial.before;
      done.error_after += trial.after;
      if (trial.changes()) {
        plan.fold(i, trial.factors());
        ++done.places;
      }
    }
    if (progress) progress(i + 1, plan.places().size());
  }
  return done;
}

Result<ChannelScales> fold_smoothquant(checkpoint::ScalePlaces& plan,
                                       const ImportanceMatrix& importance, float alpha,
                                       const ScalesProgress& progress) {
  ChannelScales done;
  for (size_t i = 0; i < plan.places().size(); ++i) {
    const checkpoint::ScalePlaces::Place& place = plan.places()[i];
    const ImportanceEntry* entry = importance.find(place.known_as);
    if (entry == nullptr) {
      ++done.unmeasured;
      continue;
    }
    WEIR_ASSIGN(const std::span<const float> inputs, largest_inputs(*entry, place.cols));
    WEIR_ASSIGN(const std::vector<float> values, plan.sample(i, 0));
    std::vector<float> factors(place.cols);
    for (size_t at = 0; at < values.size(); ++at) {
      float& largest = factors[at % place.cols];
      largest = std::max(largest, std::fabs(values[at]));
    }
    for (size_t c = 0; c < place.cols; ++c) {
      factors[c] = std::pow(std::max(inputs[c], kLeastMagnitude), alpha) /
                   std::pow(std::max(factors[c], kLeastMagnitude), 1 - alpha);
    }
    plan.fold(i, std::move(factors));
    ++done.places;
    if (progress) progress(i + 1, plan.places().size());
  }
  return done;
}

}  // namespace weir::ops
