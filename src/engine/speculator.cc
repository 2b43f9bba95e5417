#include "engine/speculator.h"

#include <algorithm>

#include "engine/speculation_policy.h"

namespace weir::engine {
namespace {

// Tokens that are read into indexes in one step, so that a long prompt is indexed over several.
constexpr int32_t kReadPerStep = 2048;

// Drafts of one step over all sequences, each with a row of logits: 64 MB at 256,000 tokens of
// vocabulary. Also more than pay anywhere.
constexpr int32_t kMaxStepDrafts = 64;

// Guesses from the text cost nothing, those of a model a forward pass each.
constexpr double kFreeIsBetter = 0.1;
// A draft model that does not pay is tried again after so many steps: texts change.
constexpr int32_t kAskAgain = 64;
constexpr double kModelMsRate = 0.1;

// Tokens an index of this sequence can come to hold.
int64_t index_tokens(const Sequence& s, const SpeculationLimits& limits) {
  const Request& q = s.request->request;
  return std::min<int64_t>(limits.max_index_tokens,
                           static_cast<int64_t>(q.prediction.size() + q.prompt.size()) + 1 +
                               q.max_tokens + 2 * limits.shared_tokens);
}

}  // namespace

void Speculator::read(Sequence& s, int32_t& budget) {
  if (s.drafter == nullptr) {
    if (indexed_tokens_ + index_tokens(s, limits_) > limits_.max_all_index_tokens) return;
    const Request& q = s.request->request;
    s.drafter = std::make_unique<Drafter>(q.prediction, past_.of(q), s.prompt_tokens, stats_,
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

void Speculator::forget(Sequence& s) {
  if (on() && s.finished && !s.pooler.has_value())
    past_.add(s.request->request, std::span<const int32_t>(s.tokens).subspan(s.prompt_tokens));
  if (s.drafter != nullptr) indexed_tokens_ -= index_tokens(s, limits_);
  s.drafter.reset();
  if (model_.has_value()) model_->forget(&s);
}

void Speculator::propose(StepPlan& plan, std::span<Sequence* const> lineup, const DraftRoom& room,
                         const StepCosts& costs) {
  if (!on()) return;
  cost_.guess(costs);
  int32_t budget = kReadPerStep;
  int32_t step_tokens = 0;
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < plan.chunks.size(); ++i) {
    const PlannedChunk& c = plan.chunks[i];
    Sequence& s = *lineup[c.sequence];
    s.draft.clear();
    step_tokens += c.tokens;
    if (s.pooler.has_value() || s.scorer.has_value()) continue;
    read(s, budget);
    const int32_t count = wanted(s);
    if (!c.samples || c.tokens != 1 || count < 1) continue;
    candidates.push_back({i, &s, {}});
    if (s.drafter != nullptr) candidates.back().draft = s.drafter->propose(s.tokens, count);
  }
  // Without room the draft model would be asked for guesses that nothing can verify.
  if (candidates.empty() || !plan.preempted.empty() || room.tokens < 1) return;
  if (model_.has_value()) ask_model(candidates, step_tokens);
  std::vector<int32_t> depths;
  if (limits_.depth == SpeculationLimits::kAuto) {
    std::vector<std::span<const double>> chances;
    chances.reserve(candidates.size());
    for (const Candidate& c : candidates) chances.emplace_back(c.draft.chances);
    depths = choose_depths(step_tokens, chances, std::min(room.tokens, kMaxStepDrafts), cost_);
  } else {
    depths.reserve(candidates.size());
    for (const Candidate& c : candidates)
      depths.push_back(static_cast<int32_t>(c.draft.tokens.size()));
  }
  assign(plan, candidates, depths, room);
}

// Gives the candidates their drafts, as far as tokens and pages go.
void Speculator::assign(StepPlan& plan, std::span<Candidate> candidates,
                        std::span<const int32_t> depths, const DraftRoom& room) const {
  int32_t tokens_left = std::min(room.tokens, kMaxStepDrafts);
  int32_t pages_left = room.pages;
  for (size_t i = 0; i < candidates.size(); ++i) {
    PlannedChunk& c = plan.chunks[candidates[i].chunk];
    Sequence& s = *candidates[i].sequence;
    const auto held_pages = static_cast<int32_t>(s.pages.size());
    const int32_t end = s.computed + c.tokens;
    const int32_t fit = (held_pages + pages_left) * room.page_tokens - end;
    const int32_t count = std::min({depths[i], tokens_left, fit});
    if (count < 1) continue;
    tokens_left -= count;
    pages_left -= std::max(0, kv::pages_for(end + count, room.page_tokens) - held_pages);
    c.drafts = count;
    const std::vector<int32_t>& tokens = candidates[i].draft.tokens;
    s.draft.assign(tokens.begin(), tokens.begin() + count);
  }
}

// Where the text itself says less than the draft model would, and that pays, asks the model.
void Speculator::ask_model(std::span<Candidate> candidates, int32_t step_tokens) {
  std::vector<DraftModel::Want> wants;
  std::vector<double> rates;
  std::vector<Candidate*> asked;
  for (Candidate& c : candidates) {
    Sequence& s = *c.sequence;
    s.drafted.judge(s.tokens);
    const double rate = s.drafted.rate();
    if (!c.draft.chances.empty() && c.draft.chances[0] + kFreeIsBetter >= rate) continue;
    wants.push_back({&s, s.tokens, 0});
    rates.push_back(rate);
    asked.push_back(&c);
  }
  if (wants.empty()) return;
  int32_t depth = limits_.depth;
  if (depth == SpeculationLimits::kAuto) {
    const auto room = static_cast<int32_t>(kMaxStepDrafts / wants.size());
    depth =
        choose_model_depth(step_tokens, rates, std::min(limits_.max_depth, room), model_ms_, cost_);
    if (depth == 0 && ++unasked_ < kAskAgain) return;
    depth = std::max(depth, 1);
    unasked_ = 0;
  }
  for (size_t i = 0; i < wants.size(); ++i)
    wants[i].count = std::min(depth, wanted(*asked[i]->sequence));
  const int64_t start_ns = clock_.now_ns();
  model_->draft(wants);
  const double ms = static_cast<double>(clock_.now_ns() - start_ns) * 1e-6 / depth;
  model_ms_ = model_ms_ == 0 ? ms : model_ms_ + kModelMsRate * (ms - model_ms_);
  for (size_t i = 0; i < wants.size(); ++i) {
    if (wants[i].drafts.empty()) continue;
    Draft& draft = asked[i]->draft;
    draft.tokens = wants[i].drafts;
    draft.chances.clear();
    double chance = 1;
    for (size_t d = 0; d < draft.tokens.size(); ++d) draft.chances.push_back(chance *= rates[i]);
    DraftModelRecord& record = asked[i]->sequence->drafted;
    record.at = asked[i]->sequence->tokens.size();
    record.drafts = std::move(wants[i].drafts);
  }
}

}  // namespace weir::engine
