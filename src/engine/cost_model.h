// What a step takes: a linear model of its work, fitted at start (engine/calibration.h) and refined
// by every step. Pure arithmetic; the scheduler, admission and planners' simulators use the same
// object.
//
//   step ms = fixed + prefill · prompt tokens + decode · decode tokens
//           + decode_kv · tokens whose keys and values decodes read
//           + prefill_kv · (query token, cached token) pairs of prompts
//
// Attention stands twice because its two forms cost differently: a decode reads a token's keys and
// values once for one query (memory), a prompt's tokens share what they read (arithmetic).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::engine {

// What a step computes.
struct StepWork {
  int64_t prefill_tokens = 0;
  int64_t decode_tokens = 0;
  int64_t decode_kv_tokens = 0;
  int64_t prefill_kv_pairs = 0;

  // Tokens [position, position + tokens) of a prompt.
  void add_prefill(int64_t position, int64_t tokens);
  // The newest of `known` tokens; tokens > 1: with drafts behind it.
  void add_decode(int64_t known, int64_t tokens = 1);
};

// Milliseconds per unit of work; none is negative. All 0: nothing is known yet.
struct StepCosts {
  double fixed_ms = 0;
  double prefill_token_ms = 0;
  double decode_token_ms = 0;
  double decode_kv_token_ms = 0;
  double prefill_kv_pair_ms = 0;

  bool known() const { return fixed_ms > 0 || prefill_token_ms > 0 || decode_token_ms > 0; }
  double predict_ms(const StepWork& work) const;
  // Tokens [position, position + tokens) of a prompt, beside other work of the step.
  double prefill_ms(int64_t position, int64_t tokens) const;
  // A decode of a sequence with so many tokens, beside other work.
  double decode_ms(int64_t known) const;
  // The most tokens of a prompt from `position` on that cost at most `ms`.
  int64_t prefill_tokens_within(double ms, int64_t position) const;
};

struct StepSample {
  StepWork work;
  double ms = 0;
};

// Least squares over the relative errors of recent steps, as normal equations that forget: step k
// counts 0.99^k, about the last hundred. A pull towards the fit at start keeps coefficients that
// recent steps say nothing about. Coefficients are kept at or above 0 (coordinate descent, which
// solves that problem exactly). A step that took far longer than usual (cores are shared) counts
// less: Huber's weight, at three times the usual error.
class CostModel {
 public:
  CostModel() = default;
  // The fit of measured steps; they do not count again as recent steps.
  static CostModel fit(std::span<const StepSample> samples);

  void observe(const StepWork& work, double ms);
  const StepCosts& costs() const { return costs_; }
  // Mean relative error of recent predictions.
  double usual_error() const { return usual_error_; }

 private:
  static constexpr size_t kTerms = 5;
  using Vector = std::array<double, kTerms>;

  void add(const StepWork& work, double ms, double weight);
  void solve();

  std::array<Vector, kTerms> normal_{};  // sum of weight · x xᵀ
  Vector moment_{};                      // sum of weight · x y
  Vector prior_{};                       // the fit at start; 0: none
  Vector terms_{};
  StepCosts costs_;
  double usual_error_ = 0.1;
  int64_t observed_ = 0;
};

}  // namespace weir::engine
