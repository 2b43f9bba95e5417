// What a step of so many tokens takes, relative to others: a curve over the tokens of a step,
// learned from the steps that ran.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/cost_model.h"

namespace weir::engine {

// What the speculation policy asks. Any unit; greater for more tokens.
class StepCost {
 public:
  virtual ~StepCost() = default;
  virtual double of(int32_t tokens) const = 0;
};

// Linear between knots. The first guess is the shape that SmolLM2-135M has on two cores of a Zen 5
// (1 token 3.1 ms, 16 tokens of as many sequences 13.5 ms); larger models, whose weights come from
// memory, are cheaper by the token, and soon known to be.
class LearnedStepCost final : public StepCost {
 public:
  LearnedStepCost();
  double of(int32_t tokens) const override;
  // Until the first step ran: the shape that the calibration at start found, where there was one.
  void guess(const StepCosts& costs);
  // A step of `tokens` took `ms`. What deviates in common (another load, another clock) moves the
  // whole curve, what is left moves the knots near by; a step that took very long says little.
  void learn(int32_t tokens, double ms);

 private:
  static constexpr std::array<int32_t, 11> kKnots = {1, 2, 4, 6, 8, 12, 16, 24, 32, 128, 512};
  struct Place {
    size_t knot = 0;      // the last one at or below
    double fraction = 0;  // of the way to the next
  };
  static Place place(int32_t tokens);
  std::array<double, kKnots.size()> ms_{};
  bool scaled_ = false;  // false: the guess's unit is not ms yet
};

}  // namespace weir::engine
