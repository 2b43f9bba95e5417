#include "ops/plan/step_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace weir::ops {
namespace {

constexpr size_t kTerms = 5;
using Terms = std::array<double, kTerms>;
constexpr int kRounds = 8;    // of weights; they settle after four or so
constexpr int kSweeps = 400;  // of coordinate descent, five additions each
constexpr double kHuber = 3;  // times the median error
constexpr size_t kSpread = 64;
constexpr double kLeastError = 0.01;
constexpr double kDoubt = 4;

Terms features(const engine::StepWork& w) {
  return {1, static_cast<double>(w.prefill_tokens), static_cast<double>(w.decode_tokens),
          static_cast<double>(w.decode_kv_tokens), static_cast<double>(w.prefill_kv_pairs)};
}

double dot(const Terms& a, const Terms& b) {
  double sum = 0;
  for (size_t i = 0; i < kTerms; ++i) sum += a[i] * b[i];
  return sum;
}

// Minimizes Σ weight (terms · x − y)² with terms >= 0.
Terms solve(std::span<const engine::StepSample> samples, std::span<const double> weights) {
  std::array<Terms, kTerms> normal{};
  Terms moment{};
  for (size_t s = 0; s < samples.size(); ++s) {
    const Terms x = features(samples[s].work);
    for (size_t i = 0; i < kTerms; ++i) {
      for (size_t j = 0; j < kTerms; ++j) normal[i][j] += weights[s] * x[i] * x[j];
      moment[i] += weights[s] * x[i] * samples[s].ms;
    }
  }
  Terms terms{};
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (size_t i = 0; i < kTerms; ++i) {
      if (normal[i][i] <= 0) continue;
      double rest = moment[i];
      for (size_t j = 0; j < kTerms; ++j) rest -= j == i ? 0 : normal[i][j] * terms[j];
      terms[i] = std::max(0.0, rest / normal[i][i]);
    }
  }
  return terms;
}

double median(std::vector<double> v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

// Measured over predicted sums of each size of steps; kDoubt steps as predicted stand beside them.
std::vector<double> by_tokens(std::span<const engine::StepSample> samples,
                              const engine::StepCosts& costs) {
  std::vector<double> measured, expected, steps;
  for (const engine::StepSample& s : samples) {
    const size_t b = tokens_bucket(s.work);
    for (auto* v : {&measured, &expected, &steps}) v->resize(std::max(v->size(), b + 1));
    measured[b] += s.ms;
    expected[b] += std::max(costs.predict_ms(s.work), 1e-6);
    steps[b] += 1;
  }
  std::vector<double> out(measured.size(), 1);
  for (size_t b = 0; b < out.size(); ++b) {
    if (steps[b] == 0) continue;
    const double doubt = kDoubt * expected[b] / steps[b];
    out[b] = (measured[b] + doubt) / (expected[b] + doubt);
  }
  return out;
}

}  // namespace

StepFit fit_steps(std::span<const engine::StepSample> samples) {
  StepFit fit;
  std::vector<engine::StepSample> used;
  used.reserve(samples.size());
  for (const engine::StepSample& s : samples) {
    if (s.ms > 0 && std::isfinite(s.ms)) used.push_back(s);
  }
  if (used.empty()) return fit;
  std::vector<double> weights(used.size()), errors(used.size());
  for (size_t i = 0; i < used.size(); ++i) weights[i] = 1 / (used[i].ms * used[i].ms);
  Terms terms{};
  for (int round = 0; round < kRounds; ++round) {
    terms = solve(used, weights);
    // Relative to the prediction: relative to what was measured, slow steps would hardly count and
    // the model would be too fast.
    const auto predicted = [&](size_t i) {
      return std::max(dot(terms, features(used[i].work)), 1e-6);
    };
    for (size_t i = 0; i < used.size(); ++i) errors[i] = std::fabs(used[i].ms / predicted(i) - 1);
    fit.median_error = median(errors);
    const double bound = kHuber * std::max(fit.median_error, kLeastError);
    for (size_t i = 0; i < used.size(); ++i) {
      const double p = predicted(i);
      weights[i] = std::min(1.0, bound / std::max(errors[i], 1e-9)) / (p * p);
    }
  }
  fit.costs = {terms[0], terms[1], terms[2], terms[3], terms[4]};
  fit.by_tokens = by_tokens(used, fit.costs);
  const MeasuredStepTime fitted(fit.costs, {}, fit.by_tokens);
  std::vector<double> ratios(used.size());
  for (size_t i = 0; i < used.size(); ++i)
    ratios[i] = used[i].ms / std::max(fitted.ms(used[i].work), 1e-6);
  std::sort(ratios.begin(), ratios.end());
  const size_t n = std::min(kSpread, ratios.size());
  double sum = 0;
  for (size_t k = 0; k < n; ++k) {
    // The mean of each part, not its middle: the rare slow steps are what the last one is about.
    const size_t from = k * ratios.size() / n, to = (k + 1) * ratios.size() / n;
    double part = 0;
    for (size_t i = from; i < to; ++i) part += ratios[i];
    fit.spread.push_back(part / static_cast<double>(to - from));
    sum += fit.spread.back();
  }
  for (double& ratio : fit.spread) ratio *= static_cast<double>(n) / sum;
  return fit;
}

}  // namespace weir::ops
