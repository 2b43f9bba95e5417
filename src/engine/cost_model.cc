#include "engine/cost_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir::engine {
namespace {

constexpr double kForget = 0.99;
constexpr double kHuber = 3.0;
constexpr double kErrorSmoothing = 0.05;
constexpr double kMinUsualError = 0.02;
constexpr double kMaxUsualError = 0.5;
// The pull towards the fit at start, in units of one step's squared relative error: with it, a
// coefficient that makes up a tenth of the recent steps' time is decided by those steps.
constexpr double kPriorWeight = 0.1;
// Noise of short steps must not make a kind of work look free: a prompt whose tokens cost nothing
// would fill the whole step beside decodes. Seen on a machine with load 29 on 2 cores: steps of 5
// s.
constexpr double kLeastOfPrior = 0.25;
// Without a fit at start: keeps terms that always come together from being 0/0.
constexpr double kRidge = 1e-6;
// Observations before costs_ says anything without a fit at start.
constexpr int64_t kFirstObservations = 16;
constexpr int kSweeps = 200;

std::array<double, 5> features(const StepWork& w) {
  return {1.0, static_cast<double>(w.prefill_tokens), static_cast<double>(w.decode_tokens),
          static_cast<double>(w.decode_kv_tokens), static_cast<double>(w.prefill_kv_pairs)};
}

double pairs(double position, double tokens) { return tokens * (position + (tokens + 1) / 2); }

}  // namespace

void StepWork::add_prefill(int64_t position, int64_t tokens) {
  prefill_tokens += tokens;
  prefill_kv_pairs += tokens * position + tokens * (tokens + 1) / 2;
}

void StepWork::add_decode(int64_t known, int64_t tokens) {
  decode_tokens += tokens;
  decode_kv_tokens += known;
}

double StepCosts::predict_ms(const StepWork& w) const {
  return fixed_ms + prefill_token_ms * static_cast<double>(w.prefill_tokens) +
         decode_token_ms * static_cast<double>(w.decode_tokens) +
         decode_kv_token_ms * static_cast<double>(w.decode_kv_tokens) +
         prefill_kv_pair_ms * static_cast<double>(w.prefill_kv_pairs);
}

double StepCosts::prefill_ms(int64_t position, int64_t tokens) const {
  return prefill_token_ms * static_cast<double>(tokens) +
         prefill_kv_pair_ms * pairs(static_cast<double>(position), static_cast<double>(tokens));
}

double StepCosts::decode_ms(int64_t known) const {
  return decode_token_ms + decode_kv_token_ms * static_cast<double>(known);
}

int64_t StepCosts::prefill_tokens_within(double ms, int64_t position) const {
  if (ms <= 0) return 0;
  if (!known() || std::isinf(ms)) return std::numeric_limits<int32_t>::max();
  // q n² + l n = ms
  const double q = prefill_kv_pair_ms / 2;
  const double l = prefill_token_ms + prefill_kv_pair_ms * (static_cast<double>(position) + 0.5);
  if (l <= 0) return std::numeric_limits<int32_t>::max();
  const double n = q > 0 ? 2 * ms / (l + std::sqrt(l * l + 4 * q * ms)) : ms / l;
  // A hair more, so that exactly what was costed fits again.
  return static_cast<int64_t>(std::min(n + 1e-6, 2e9));
}

CostModel CostModel::fit(std::span<const StepSample> samples) {
  CostModel m;
  for (const StepSample& s : samples) {
    if (s.ms > 0) m.add(s.work, s.ms, 1.0);
  }
  m.observed_ = kFirstObservations;
  m.solve();
  m.prior_ = m.terms_;
  m.normal_ = {};
  m.moment_ = {};
  return m;
}

void CostModel::add(const StepWork& work, double ms, double weight) {
  const Vector x = features(work);
  const double w = weight / (ms * ms);  // errors count relative to the step's length
  for (size_t i = 0; i < kTerms; ++i) {
    for (size_t j = 0; j < kTerms; ++j) normal_[i][j] += w * x[i] * x[j];
    moment_[i] += w * x[i] * ms;
  }
}

void CostModel::observe(const StepWork& work, double ms) {
  if (!(ms > 0) || !std::isfinite(ms)) return;
  double weight = 1.0;
  if (costs_.known()) {
    const double predicted = costs_.predict_ms(work);
    const double error = std::abs(ms - predicted) / std::max(ms, predicted);
    const double bound = kHuber * usual_error_;
    if (error > bound) weight = bound / error;
    usual_error_ =
        std::clamp(usual_error_ + kErrorSmoothing * (std::min(error, bound) - usual_error_),
                   kMinUsualError, kMaxUsualError);
  }
  for (Vector& row : normal_) {
    for (double& v : row) v *= kForget;
  }
  for (double& v : moment_) v *= kForget;
  add(work, ms, weight);
  ++observed_;
  solve();
}

void CostModel::solve() {
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double moved = 0;
    for (size_t i = 0; i < kTerms; ++i) {
      double curvature = normal_[i][i] * (1 + kRidge);
      double pull = moment_[i];
      for (size_t j = 0; j < kTerms; ++j) {
        if (j != i) pull -= normal_[i][j] * terms_[j];
      }
      if (prior_[i] > 0) {
        const double strength = kPriorWeight / (prior_[i] * prior_[i]);
        curvature += strength;
        pull += strength * prior_[i];
      }
      if (curvature <= 0) continue;
      const double next = std::max(kLeastOfPrior * prior_[i], pull / curvature);
      moved = std::max(moved, std::abs(next - terms_[i]) * std::sqrt(curvature));
      terms_[i] = next;
    }
    if (moved < 1e-9) break;
  }
  if (observed_ < kFirstObservations) return;
  costs_ = {terms_[0], terms_[1], terms_[2], terms_[3], terms_[4]};
}

}  // namespace weir::engine
