// What the next step computes: a pure function of a view of the sequences and a budget.
//
// Decodes first, then prefill chunks, both in the order of the views, until the budget of tokens
// and time is spent. When pages run out, sequences that hold some are preempted (their KV is
// dropped and computed again later): paused ones first, then of younger ones the batch class, then
// those of the tenant that has had most, the youngest first. A sequence that runs never loses its
// pages to a younger one unless it is paused, so the oldest that runs always progresses. One that
// does not run yet takes pages only from sequences that come after it in the order of the policy
// too (SequenceView::standing), or it would lose in the next step what it took.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/cost_model.h"
#include "engine/request.h"

namespace weir::engine {

// How a tenant and class stand in the fairness policy: lower comes first.
struct Standing {
  int32_t rank = 0;    // of its class
  double counter = 0;  // of its tenant; kFifo: 0
  int32_t priority = 0;
  auto operator<=>(const Standing&) const =
      default;  // NOLINT(modernize-use-nullptr): misread by clang-tidy 14
};

// One unfinished sequence.
struct SequenceView {
  int32_t tokens = 0;    // known: prompt and generated
  int32_t computed = 0;  // with keys and values in pages; below tokens
  int32_t pages = 0;     // held
  bool paused = false;   // its reader is too slow: keeps its pages, is not advanced
  bool whole = false;    // computed in one step or not at all: its tokens see later ones
  // Each token from this one on wants its logits, of which a step has few (scored_rows).
  int32_t scored_from = std::numeric_limits<int32_t>::max();
  ServiceClass service_class = ServiceClass::kInteractive;
  uint64_t seniority = 0;  // lower is older; unique
  Standing standing = {};
  double weight = 1.0;  // of its tenant
  double age_ms = 0;    // since it was submitted
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
  int32_t scored_rows = 128;           // rows of logits for tokens of prompts
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

// Of the places in the batch, batch requests leave this part to interactive ones.
inline constexpr int32_t kInteractiveReserve = 8;  // one in eight

// 1.6: streams that decode beside a long prompt keep 5/8 of their speed and the prompt gets 3/8 of
// the machine; what is left to 2 covers the error of predicted step times, so that their p99 stays
// below twice the p50 of streams without a prompt beside them.
inline constexpr double kDefaultItlRatio = 1.6;
// A prompt is late when, at that share of the machine, its first token would come after more than
// kPatience times what it takes alone (and kPatienceMs at least). While one is late and no ITL
// target was given, steps may take kLateItlMs: 28 tokens/s, still faster than people read. One long
// prompt is not late by this (it is slowed 2.7 times), a line of waiting ones is. Sixteen clients
// with prompts of 460 tokens each, 135M on 2 cores: docs/PERFORMANCE.md has it with and without.
inline constexpr double kPatience = 4;
inline constexpr double kPatienceMs = 250;
inline constexpr double kLateItlMs = 35;
// A prompt of a quarter of the first one's tokens, or less, shares half of the steps with others of
// its kind, whatever stands before it; but for a tenant that has had more than the first one's will
// have had with this prompt: who sends only short ones would take half for ever.
inline constexpr int32_t kShortPart = 4;
bool is_late(double first_token_ms, double alone_ms);
// Where the decodes alone fill the target, prompts go on with this share of the decodes' time:
// a target that cannot be met must not starve them.
inline constexpr double kMinPrefillShare = 0.125;

// Milliseconds that the prompts of a step may take beside its decodes; infinite without a bound.
// decodes: of the step; which classes they have; late: a prompt is.
double prefill_allowance_ms(const StepBudget& budget, const StepWork& decodes, bool interactive,
                            bool batch, bool late);

struct PlannedChunk {
  size_t sequence = 0;    // index into the views
  int32_t tokens = 0;     // from `computed` on, or from `cached`
  int32_t new_pages = 0;  // to allocate first
  bool samples = false;   // covers the last known token: wants logits
  bool starts = false;    // the sequence has no pages yet
  int32_t cached = 0;     // it starts behind this many tokens, which it finds
  int32_t drafts = 0;     // draft tokens after it, with logits each; see engine/speculator.h
};

struct StepPlan {
  std::vector<PlannedChunk> chunks;
  std::vector<size_t> preempted;  // release their pages first
};

// Views: first those that hold pages, oldest first, then those that wait in the order of the
// policy; a prompt that has started stands wherever the policy puts it among these.
StepPlan plan_step(std::span<const SequenceView> sequences, const StepBudget& budget);

}  // namespace weir::engine
