// Speculation of one engine: proposes draft tokens for the decodes of a planned step. Its drafts
// are guesses and never more: the engine samples every token as without them and keeps a draft only
// where it is the token sampled, so they change the speed and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "engine/cost_model.h"
#include "engine/draft_model.h"
#include "engine/draft_stats.h"
#include "engine/engine.h"
#include "engine/past_texts.h"
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
  // draft: the runner of a draft model with the same vocabulary, borrowed; nullptr: none.
  Speculator(const SpeculationLimits& limits, const Clock& clock, Runner* draft, int32_t vocab)
      : limits_(limits), past_(limits.shared_tokens), clock_(clock) {
    if (draft != nullptr) model_.emplace(*draft, vocab);
  }

  bool on() const { return limits_.depth != 0; }
  // Adds drafts to the plan's decodes, whose pages are reserved: fills Sequence::draft and the
  // chunk's drafts, for which the room is enough. lineup: what the plan's chunks index. costs: the
  // curve's shape before the first step.
  void propose(StepPlan& plan, std::span<Sequence* const> lineup, const DraftRoom& room,
               const StepCosts& costs);
  // The sequence is over (finished), or has lost its pages.
  void forget(Sequence& s);
  // A step ran so long.
  void step_done(int32_t tokens, double ms) { cost_.learn(tokens, ms); }

 private:
  // Reads what is new into the sequence's index; a part of it when that is much.
  void read(Sequence& s, int32_t& budget);
  int32_t wanted(const Sequence& s) const;
  // A decode of the plan, and what is guessed for it.
  struct Candidate {
    size_t chunk;
    Sequence* sequence;
    Draft draft;
  };
  void ask_model(std::span<Candidate> candidates, int32_t step_tokens);
  void assign(StepPlan& plan, std::span<Candidate> candidates, std::span<const int32_t> depths,
              const DraftRoom& room) const;

  const SpeculationLimits limits_;
  DraftStats stats_;
  PastTexts past_;
  LearnedStepCost cost_;
  const Clock& clock_;
  std::optional<DraftModel> model_;
  double model_ms_ = 0;         // of one token for all its sequences; 0: not known yet
  int32_t unasked_ = 0;         // steps that did not pay
  int64_t indexed_tokens_ = 0;  // what the indexes may hold together
};

}  // namespace weir::engine
