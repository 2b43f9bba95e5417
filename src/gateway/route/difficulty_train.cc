#include <algorithm>
#include <cmath>
#include <vector>

#include "gateway/route/difficulty.h"

namespace weir::gateway {

namespace {

constexpr size_t kUnknowns = kDifficultyFeatures + 1;  // the last one is the bias
using Vector = std::array<double, kUnknowns>;
using Matrix = std::array<Vector, kUnknowns>;

// x of a x = b for a symmetric positive definite `a`, by Cholesky's decomposition.
Vector solve(Matrix a, Vector b) {
  for (size_t j = 0; j < kUnknowns; ++j) {
    for (size_t k = 0; k < j; ++k) a[j][j] -= a[j][k] * a[j][k];
    a[j][j] = std::sqrt(a[j][j]);
    for (size_t i = j + 1; i < kUnknowns; ++i) {
      for (size_t k = 0; k < j; ++k) a[i][j] -= a[i][k] * a[j][k];
      a[i][j] /= a[j][j];
    }
  }
  for (size_t i = 0; i < kUnknowns; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
  for (size_t i = kUnknowns; i-- > 0;) {
    for (size_t k = i + 1; k < kUnknowns; ++k) b[i] -= a[k][i] * b[k];
    b[i] /= a[i][i];
  }
  return b;
}

struct Data {
  std::vector<Vector> rows;  // standardized, and 1
  std::vector<double> labels;
};

double margin(const Vector& w, const Vector& row) {
  double z = 0;
  for (size_t i = 0; i < kUnknowns; ++i) z += w[i] * row[i];
  return z;
}

// What is made least: -log likelihood + l2 / 2 * |weights|^2.
double loss(const Data& data, const Vector& w, double l2) {
  double sum = 0;
  for (size_t n = 0; n < data.rows.size(); ++n) {
    const double z = margin(w, data.rows[n]) * (data.labels[n] > 0 ? 1 : -1);
    sum += z > 0 ? std::log1p(std::exp(-z)) : std::log1p(std::exp(z)) - z;
  }
  for (size_t i = 0; i < kDifficultyFeatures; ++i) sum += l2 / 2 * w[i] * w[i];
  return sum;
}

Vector newton_step(const Data& data, const Vector& w, double l2) {
  Matrix hessian{};
  Vector gradient{};
  for (size_t n = 0; n < data.rows.size(); ++n) {
    const Vector& row = data.rows[n];
    const double p = 1 / (1 + std::exp(-margin(w, row)));
    for (size_t i = 0; i < kUnknowns; ++i) {
      gradient[i] += (data.labels[n] - p) * row[i];
      for (size_t j = 0; j <= i; ++j) hessian[i][j] += p * (1 - p) * row[i] * row[j];
    }
  }
  for (size_t i = 0; i < kUnknowns; ++i) {
    const bool is_bias = i == kDifficultyFeatures;
    hessian[i][i] += is_bias ? 1e-9 : l2;  // definite even when every p is 0 or 1
    if (!is_bias) gradient[i] -= l2 * w[i];
  }
  return solve(hessian, gradient);
}

// Newton's method; a step that does not lower the loss is halved.
Vector minimize(const Data& data, const DifficultyTraining& training) {
  Vector w{};
  double now = loss(data, w, training.l2);
  for (int step = 0; step < training.max_steps; ++step) {
    const Vector direction = newton_step(data, w, training.l2);
    double size = 1;
    Vector next = w;
    double then = now;
    for (int halving = 0; halving < 30; ++halving) {
      for (size_t i = 0; i < kUnknowns; ++i) next[i] = w[i] + size * direction[i];
      then = loss(data, next, training.l2);
      if (then < now) break;
      size /= 2;
    }
    if (!(then < now - 1e-10 * (1 + now))) break;
    w = next;
    now = then;
  }
  return w;
}

}  // namespace

Result<DifficultyModel> train_difficulty(std::span<const DifficultyExample> examples,
                                         const DifficultyTraining& training) {
  if (!(training.l2 > 0) || !std::isfinite(training.l2))
    return make_error(ErrorCode::kInvalidValue, "l2 is not above 0");
  DifficultyModel model;
  model.examples = static_cast<int64_t>(examples.size());
  const auto n = static_cast<double>(examples.size());
  int64_t suffices = 0;
  for (size_t k = 0; k < examples.size(); ++k) {
    suffices += examples[k].small_suffices ? 1 : 0;
    for (size_t i = 0; i < kDifficultyFeatures; ++i) {
      const double x = examples[k].features[i];
      if (!std::isfinite(x)) {
        return make_error(ErrorCode::kInvalidValue, "example {}: {} is not finite", k,
                          difficulty_feature_names()[i]);
      }
      model.mean[i] += x / n;
    }
  }
  if (suffices == 0 || suffices == model.examples) {
    return make_error(ErrorCode::kInvalidValue,
                      "the small model suffices for {} of {} examples: nothing to tell apart",
                      suffices, model.examples);
  }
  DifficultyFeatures variance{};
  for (const DifficultyExample& e : examples) {
    for (size_t i = 0; i < kDifficultyFeatures; ++i)
      variance[i] += (e.features[i] - model.mean[i]) * (e.features[i] - model.mean[i]) / n;
  }
  for (size_t i = 0; i < kDifficultyFeatures; ++i)
    model.scale[i] = variance[i] > 1e-18 ? std::sqrt(variance[i]) : 1;
  Data data;
  data.rows.reserve(examples.size());
  data.labels.reserve(examples.size());
  for (const DifficultyExample& e : examples) {
    Vector row{};
    for (size_t i = 0; i < kDifficultyFeatures; ++i)
      row[i] = (e.features[i] - model.mean[i]) / model.scale[i];
    row[kDifficultyFeatures] = 1;
    data.rows.push_back(row);
    data.labels.push_back(e.small_suffices ? 1 : 0);
  }
  const Vector w = minimize(data, training);
  std::copy_n(w.begin(), kDifficultyFeatures, model.weight.begin());
  model.bias = w[kDifficultyFeatures];
  return model;
}

}  // namespace weir::gateway
