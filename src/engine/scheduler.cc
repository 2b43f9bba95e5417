#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "engine/fairness.h"
#include "kv/page_pool.h"

namespace weir::engine {
namespace {

class Planner {
 public:
  Planner(std::span<const SequenceView> sequences, const StepBudget& budget)
      : sequences_(sequences),
        budget_(budget),
        free_(budget.free_pages),
        tokens_left_(budget.step_tokens),
        scored_rows_left_(budget.scored_rows),
        planned_(sequences.size(), 0),
        taken_(sequences.size(), 0),
        preempted_(sequences.size(), false) {
    for (const SequenceView& s : sequences) running_ += s.pages > 0 ? 1 : 0;
  }

  StepPlan plan() {
    for (size_t i = 0; i < sequences_.size(); ++i) {
      if (is_decode(sequences_[i])) advance(i);
    }
    short_ones_ = find_short_ones();
    prefill_ms_left_ = prefill_allowance();
    advance_short_ones();
    for (size_t i = 0; i < sequences_.size(); ++i) {
      if (!is_decode(sequences_[i]) && planned_[i] == 0) advance(i);
    }
    StepPlan result;
    for (size_t i = 0; i < sequences_.size(); ++i) {
      if (preempted_[i]) result.preempted.push_back(i);
    }
    for (const PlannedChunk& chunk : chunks_) {
      if (!preempted_[chunk.sequence]) result.chunks.push_back(chunk);
    }
    return result;
  }

 private:
  // Holds pages and lacks only its newest token.
  static bool is_decode(const SequenceView& s) { return s.pages > 0 && s.tokens - s.computed == 1; }

  int32_t pages_for(int32_t tokens) const { return kv::pages_for(tokens, budget_.page_tokens); }

  double prefill_allowance() const {
    StepWork decodes;
    bool interactive = false;
    bool batch = false;
    for (const PlannedChunk& c : chunks_) {
      if (preempted_[c.sequence]) continue;
      const SequenceView& s = sequences_[c.sequence];
      decodes.add_decode(s.tokens, c.tokens);
      (s.service_class == ServiceClass::kBatch ? batch : interactive) = true;
    }
    return prefill_allowance_ms(budget_, decodes, interactive, batch, any_late());
  }

  bool waits(const SequenceView& s) const {
    return !is_decode(s) && !s.paused && !s.held && !s.whole;
  }
  static int32_t missing(const SequenceView& s) {
    return s.tokens - (s.pages == 0 ? s.cached : s.computed);
  }
  // Prompts that stand behind the first in line though much shorter, shortest first.
  std::vector<size_t> find_short_ones() const {
    std::vector<size_t> found;
    const auto first = std::find_if(sequences_.begin(), sequences_.end(),
                                    [this](const SequenceView& s) { return waits(s); });
    if (first == sequences_.end()) return found;
    const double most_had =
        first->standing.counter + kInputWeight * missing(*first) / first->weight;
    for (auto s = first + 1; s < sequences_.end(); ++s) {
      if (waits(*s) && s->standing.rank == first->standing.rank &&
          s->standing.priority <= first->standing.priority && s->standing.counter <= most_had &&
          missing(*s) * kShortPart <= missing(*first))
        found.push_back(static_cast<size_t>(s - sequences_.begin()));
    }
    std::stable_sort(found.begin(), found.end(), [this](size_t a, size_t b) {
      return missing(sequences_[a]) < missing(sequences_[b]);
    });
    return found;
  }

  // One long prompt must not stall the short ones behind it: they share half of the step.
  void advance_short_ones() {
    if (short_ones_.empty()) return;
    const double ms = prefill_ms_left_;
    const int32_t tokens = tokens_left_;
    prefill_ms_left_ = ms / 2;
    tokens_left_ = tokens / 2;
    for (const size_t i : short_ones_) advance(i);
    prefill_ms_left_ += ms - ms / 2;
    if (std::isinf(ms)) prefill_ms_left_ = ms;
    tokens_left_ += tokens - tokens / 2;
  }

  // Whether a prompt would be late if each step gave prompts no more than the usual share.
  bool any_late() const {
    if (!budget_.costs.known()) return false;
    double ahead_ms = 0;  // of prompts, with the one looked at
    double short_ms = 0;  // likewise, of those that need not wait for the first
    for (size_t i = 0; i < sequences_.size(); ++i) {
      const SequenceView& s = sequences_[i];
      if (!waits(s)) continue;
      const int32_t found = s.pages == 0 ? s.cached : 0;
      const double own_ms = budget_.costs.prefill_ms(s.tokens - missing(s), missing(s));
      const bool is_short =
          std::find(short_ones_.begin(), short_ones_.end(), i) != short_ones_.end();
      double& line_ms = is_short ? short_ms : ahead_ms;
      line_ms += is_short ? 2 * own_ms : own_ms;  // they have half of the share
      if (s.service_class == ServiceClass::kBatch) continue;
      const double alone_ms = budget_.costs.prefill_ms(found, s.tokens - found);
      constexpr double kShare = 1 - 1 / kDefaultItlRatio;
      if (is_late(s.age_ms + line_ms / kShare, alone_ms)) return true;
    }
    return false;
  }

  // Of `count` prompt tokens from `computed` on, those that the step's time allows; the first
  // prompt of a step always gets one.
  int32_t in_time(const SequenceView& s, int32_t computed, int32_t count) {
    if (s.whole || is_decode(s)) return count;
    const int64_t fits = budget_.costs.prefill_tokens_within(prefill_ms_left_, computed);
    count = static_cast<int32_t>(std::min<int64_t>(count, std::max<int64_t>(fits, first_ ? 1 : 0)));
    return count;
  }

  // Of `count` tokens from `computed` on, those that want logits.
  static int32_t scored(const SequenceView& s, int32_t computed, int32_t count) {
    return std::max(0, computed + count - std::max(computed, s.scored_from));
  }
  // Of `count` tokens, those for whose logits the step has rows.
  int32_t in_rows(const SequenceView& s, int32_t computed, int32_t count) const {
    return count - std::max(0, scored(s, computed, count) - scored_rows_left_);
  }

  void advance(size_t i) {
    const SequenceView& s = sequences_[i];
    if (s.paused || preempted_[i] || tokens_left_ == 0) return;
    const bool starts = s.pages == 0;
    if (starts && (running_ >= places_for(s) || s.held)) return;
    const int32_t computed = starts ? s.cached : s.computed;
    const int32_t pages = starts ? s.cached / budget_.page_tokens : s.pages;
    const int32_t missing = s.tokens - computed;
    if (s.whole && missing > tokens_left_) return;
    const int32_t count =
        s.whole ? missing
                : in_time(s, computed,
                          in_rows(s, computed,
                                  std::min({missing, tokens_left_, budget_.prefill_chunk_tokens})));
    if (count == 0) return;
    const int32_t need = pages_for(computed + count) - pages;
    const int32_t found = starts ? s.cached_idle : 0;  // free pages that sharing takes
    // A sequence starts only when all that it has to compute can get pages, or it would be
    // preempted half way.
    const int32_t wanted = starts ? pages_for(s.tokens) - pages + found : need;
    // What preemption frees may be what this one shares and keeps from being free.
    const int32_t most = starts && s.cached > 0
                             ? pages_for(s.tokens) + (s.cached % budget_.page_tokens > 0 ? 1 : 0)
                             : wanted;
    if (free_ < wanted && !make_room(i, most, starts)) return;
    free_ -= need + found;
    taken_[i] = need + found;
    tokens_left_ -= count;
    scored_rows_left_ -= scored(s, computed, count);
    planned_[i] = count;
    if (!is_decode(s)) {
      prefill_ms_left_ -= budget_.costs.prefill_ms(computed, count);
      first_ = false;
    }
    running_ += starts ? 1 : 0;
    chunks_.push_back(
        {i, count, need, computed + count == s.tokens, starts, starts ? s.cached : 0});
  }

  int32_t places_for(const SequenceView& s) const {
    const int32_t all = budget_.max_running;
    return s.service_class == ServiceClass::kBatch ? all - all / kInteractiveReserve : all;
  }

  // Whether i may take the pages of v.
  bool yields(size_t v, size_t i, bool starts) const {
    const SequenceView& victim = sequences_[v];
    const SequenceView& taker = sequences_[i];
    if (v == i || preempted_[v] || held_by(v) == 0) return false;
    if (victim.paused) return true;
    if (victim.seniority < taker.seniority) return false;
    return !starts || victim.standing >= taker.standing;
  }

  // Preempts others for `i` until `pages` are free. All or nothing.
  bool make_room(size_t i, int32_t pages, bool starts) {
    if (free_ >= pages) return true;
    std::vector<size_t> victims;
    int32_t reachable = free_;
    for (size_t v = 0; v < sequences_.size(); ++v) {
      if (!yields(v, i, starts)) continue;
      victims.push_back(v);
      reachable += held_by(v);
    }
    if (reachable < pages) return false;
    std::sort(victims.begin(), victims.end(), [this](size_t a, size_t b) {
      const SequenceView& x = sequences_[a];
      const SequenceView& y = sequences_[b];
      return std::tuple(y.paused, y.standing.rank, y.standing.counter, y.seniority) <
             std::tuple(x.paused, x.standing.rank, x.standing.counter, x.seniority);
    });
    for (const size_t v : victims) {
      if (free_ >= pages) break;
      preempt(v);
    }
    return true;
  }

  // Pages that it alone has, and those this plan has given it.
  int32_t held_by(size_t v) const {
    return sequences_[v].pages - sequences_[v].shared_pages + taken_[v];
  }

  void preempt(size_t v) {
    free_ += held_by(v);
    tokens_left_ += planned_[v];
    planned_[v] = 0;
    taken_[v] = 0;
    preempted_[v] = true;
    --running_;
  }

  std::span<const SequenceView> sequences_;
  const StepBudget& budget_;
  int32_t free_;
  int32_t tokens_left_;
  int32_t scored_rows_left_;  // what a preempted one was given is not given again
  int32_t running_ = 0;
  double prefill_ms_left_ = std::numeric_limits<double>::infinity();
  std::vector<size_t> short_ones_;
  bool first_ = true;             // no prompt has tokens of this step yet
  std::vector<int32_t> planned_;  // tokens given to each sequence
  std::vector<int32_t> taken_;    // free pages that went to each
  std::vector<bool> preempted_;
  std::vector<PlannedChunk> chunks_;
};

}  // namespace

bool is_late(double first_token_ms, double alone_ms) {
  return first_token_ms > std::max(kPatienceMs, kPatience * alone_ms);
}

double prefill_allowance_ms(const StepBudget& b, const StepWork& decodes, bool interactive,
                            bool batch, bool late) {
  double target_ms = std::numeric_limits<double>::infinity();
  if (!b.costs.known()) return target_ms;
  const double alone_ms = b.costs.predict_ms(decodes);
  if (interactive && b.interactive_itl_ms > 0) {
    target_ms = b.interactive_itl_ms;
  } else if (interactive) {
    target_ms = std::max(kDefaultItlRatio * alone_ms, late ? kLateItlMs : 0);
  }
  if (batch && b.batch_itl_ms > 0) target_ms = std::min(target_ms, b.batch_itl_ms);
  return std::max(target_ms - alone_ms, kMinPrefillShare * alone_ms);
}

StepPlan plan_step(std::span<const SequenceView> sequences, const StepBudget& budget) {
  return Planner(sequences, budget).plan();
}

}  // namespace weir::engine
