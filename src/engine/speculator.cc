#include "engine/speculator.h"

#include <algorithm>

#include "engine/speculation_policy.h"

namespace weir::engine {
namespace {

// Tokens that are read into indexes in one step: about 0.4 ms at 0.2 µs each.
constexpr int32_t kReadPerStep = 2048;

// Drafts of one step over all sequences, each with a row of logits: 64 MB at 256,000 tokens of
// vocabulary. Also more than pay anywhere.
constexpr int32_t kMaxStepDrafts = 64;

int32_t pages_for(int32_t tokens, int32_t page_tokens) {
  return (tokens + page_tokens - 1) / page_tokens;
}

// Tokens an index of this sequence can come to hold.
int64_t index_tokens(const Sequence& s, const SpeculationLimits& limits) {
  const Request& q = s.request->request;
  return std::min<int64_t>(
      limits.max_index_tokens,
      static_cast<int64_t>(q.prediction.size() + q.prompt.size()) + 1 + q.max_tokens);
}

}  // namespace

void Speculator::read(Sequence& s, int32_t& budget) {
  if (s.drafter == nullptr) {
    if (indexed_tokens_ + index_tokens(s, limits_) > limits_.max_all_index_tokens) return;
    s.drafter = std::make_unique<Drafter>(s.request->request.prediction, s.prompt_tokens, stats_,
                                          std::max(2, limits_.max_index_tokens));
    indexed_tokens_ += index_tokens(s, limits_);
  }
  budget -= s.drafter->read(s.tokens, budget);
}

// The last row of a chunk samples too, so one token less than what is still to come is enough.
int32_t Speculator::wanted(const Sequence& s) const {
  const int32_t depth =
      limits_.depth == SpeculationLimits::kAuto ? limits_.max_depth : limits_.depth;
  return std::min(depth, s.request->request.max_tokens - s.generated() - 1);
}

void Speculator::propose(StepPlan& plan, std::span<Sequence* const> lineup, const DraftRoom& room,
                         const StepCosts& costs) {
  if (!on()) return;
  cost_.guess(costs);
  int64_t held = 0;
  for (const Sequence* s : lineup) {
    if (s->drafter != nullptr) held += index_tokens(*s, limits_);
  }
  indexed_tokens_ = held;
  int32_t budget = kReadPerStep;
  int32_t step_tokens = 0;
  std::vector<Draft> drafts;
  std::vector<size_t> chunks;  // that the drafts belong to
  for (size_t i = 0; i < plan.chunks.size(); ++i) {
    const PlannedChunk& c = plan.chunks[i];
    Sequence& s = *lineup[c.sequence];
    s.draft.clear();
    step_tokens += c.tokens;
    if (s.pooler.has_value()) continue;
    read(s, budget);
    if (!c.samples || c.tokens != 1 || s.drafter == nullptr) continue;
    Draft draft = s.drafter->propose(s.tokens, wanted(s));
    if (draft.tokens.empty()) continue;
    drafts.push_back(std::move(draft));
    chunks.push_back(i);
  }
  if (drafts.empty() || !plan.preempted.empty()) return;
  std::vector<std::span<const double>> chances;
  for (const Draft& d : drafts) chances.emplace_back(d.chances);
  int32_t tokens_left = std::min(room.tokens, kMaxStepDrafts);
  std::vector<int32_t> depths;
  if (limits_.depth == SpeculationLimits::kAuto) {
    depths = choose_depths(step_tokens, chances, tokens_left, cost_);
  } else {
    for (const Draft& d : drafts) depths.push_back(static_cast<int32_t>(d.tokens.size()));
  }
  int32_t pages_left = room.pages;
  for (size_t d = 0; d < drafts.size(); ++d) {
    PlannedChunk& c = plan.chunks[chunks[d]];
    Sequence& s = *lineup[c.sequence];
    const auto held_pages = static_cast<int32_t>(s.pages.size());
    const int32_t end = s.computed + c.tokens;
    const int32_t fit = (held_pages + pages_left) * room.page_tokens - end;
    const int32_t count = std::min({depths[d], tokens_left, fit});
    if (count < 1) continue;
    const int32_t more = pages_for(end + count, room.page_tokens) - held_pages;
    tokens_left -= count;
    pages_left -= std::max(more, 0);
    c.drafts = count;
    s.draft.assign(drafts[d].tokens.begin(), drafts[d].tokens.begin() + count);
  }
}

}  // namespace weir::engine
