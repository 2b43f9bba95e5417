// What the next step computes: a pure function of a view of the sequences and a budget.
//
// Decodes first, oldest first; then prefill chunks in order of arrival until the token budget is
// spent. When pages run out, the youngest sequence that holds some is preempted (its KV is dropped
// and computed again later) for an older one. A younger sequence never takes pages from an older
// one, so the oldest always progresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cost_model.h"
#include "engine/request.h"

namespace weir::engine {

// One unfinished sequence. Views are in order of seniority: oldest first.
struct SequenceView {
  int32_t tokens = 0;    // known: prompt and generated
  int32_t computed = 0;  // with keys and values in pages; below tokens
  int32_t pages = 0;     // held
  bool paused = false;   // its reader is too slow: keeps its pages, is not advanced
  bool whole = false;    // computed in one step or not at all: its tokens see later ones
  ServiceClass service_class = ServiceClass::kInteractive;
  // Of a sequence without pages: tokens that it finds computed when it starts, whose full pages it
  // shares, and how many of the pages that it needs for this count as free until then.
  int32_t cached = 0;
  int32_t cached_idle = 0;
  bool held = false;         // must not start: waits for a prefix that another computes
  int32_t shared_pages = 0;  // of `pages`: others have them too, so preempting it frees them not
};

struct StepBudget {
  int32_t step_tokens = 512;
  int32_t prefill_chunk_tokens = 512;  // of one sequence in a step
  int32_t max_running = 64;            // sequences that hold pages
  int32_t page_tokens = 32;
  int32_t free_pages = 0;  // and those of the prefix tree that nobody uses
  StepCosts costs;         // not known(): the times below do not count
  // What a step may take while sequences of that class decode, so that they do not wait for
  // prompts longer than their ITL target. 0: interactive sequences get kDefaultItlRatio times
  // what the step's decodes take alone, batch sequences wait for a full step.
  double interactive_itl_ms = 0;
  double batch_itl_ms = 0;
};

// 1.6: streams that decode beside a long prompt keep 5/8 of their speed and the prompt gets 3/8 of
// the machine; what is left to 2 covers the error of predicted step times, so that their p99 stays
// below twice the p50 of streams without a prompt beside them.
inline constexpr double kDefaultItlRatio = 1.6;
// Where the decodes alone fill the target, prompts go on with this share of the decodes' time:
// a target that cannot be met must not starve them.
inline constexpr double kMinPrefillShare = 0.125;

// Milliseconds that the prompts of a step may take beside its decodes; infinite without a bound.
// decodes: of the step; which classes they have.
double prefill_allowance_ms(const StepBudget& budget, const StepWork& decodes, bool interactive,
                            bool batch);

struct PlannedChunk {
  size_t sequence = 0;    // index into the views
  int32_t tokens = 0;     // from `computed` on, or from `cached`
  int32_t new_pages = 0;  // to allocate first
  bool samples = false;   // covers the last known token: wants logits
  bool starts = false;    // the sequence has no pages yet
  int32_t cached = 0;     // it starts behind this many tokens, which it finds
};

struct StepPlan {
  std::vector<PlannedChunk> chunks;
  std::vector<size_t> preempted;  // release their pages first
};

StepPlan plan_step(std::span<const SequenceView> sequences, const StepBudget& budget);

}  // namespace weir::engine
