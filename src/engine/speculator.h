// Speculation of one engine: proposes draft tokens for the decodes of a planned step. Its drafts
// are guesses and never more: the engine samples every token as without them and keeps a draft only
// where it is the token sampled, so they change the speed and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/cost_model.h"
#include "engine/draft_stats.h"
#include "engine/engine.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/step_cost.h"

namespace weir::engine {

// What a plan leaves for drafts.
struct DraftRoom {
  int32_t tokens = 0;  // of the step
  int32_t pages = 0;   // free
  int32_t page_tokens = 0;
};

class Speculator {
 public:
  explicit Speculator(const SpeculationLimits& limits) : limits_(limits) {}

  bool on() const { return limits_.depth != 0; }
  // Adds drafts to the plan's decodes, whose pages are reserved: fills Sequence::draft and the
  // chunk's drafts, for which the room is enough. lineup: what the plan's chunks index; all
  // sequences with pages are in it. costs: the curve's shape before the first step.
  void propose(StepPlan& plan, std::span<Sequence* const> lineup, const DraftRoom& room,
               const StepCosts& costs);
  // A step ran so long.
  void step_done(int32_t tokens, double ms) { cost_.learn(tokens, ms); }

 private:
  // Reads what is new into the sequence's index; a part of it when that is much.
  void read(Sequence& s, int32_t& budget);
  int32_t wanted(const Sequence& s) const;

  const SpeculationLimits limits_;
  DraftStats stats_;
  LearnedStepCost cost_;
  int64_t indexed_tokens_ = 0;  // what the indexes may hold together
};

}  // namespace weir::engine
