// The part of Core before a step's forward: the waiting line, plan and reservation, and what
// admission hears of it.
#include <algorithm>
#include <utility>

#include "engine/core.h"

namespace weir::engine {
namespace {

constexpr double kLoadSmoothing = 0.05;  // of the newest sequence: about the last twenty

// A step with drafts takes no longer than this, or than kDefaultItlRatio times what it takes
// without when that is longer, so that a batch's streams do not come in jerks: one stream has room
// for all drafts that pay, sixteen of the 135M on 2 cores for some 25.
constexpr double kDraftStepMs = 25;

// Of logits for tokens of prompts, which bounds what a step holds: 170 rows at 49,152 words, 32 at
// 256,000.
constexpr int32_t kScoredRowBytes = 32 << 20;

bool is_older(const Sequence* a, const Sequence* b) { return a->seniority < b->seniority; }

}  // namespace

Waiter Core::waiter_of(Sequence& s) const {
  const Request& q = s.request->request;
  return {q.priority,      s.seniority, q.service_class,
          s.tenant,        &s,          static_cast<int64_t>(s.tokens.size()) - s.computed,
          !s.pages.empty()};
}

// Puts the sequence in line or takes it out, as its state wants it.
void Core::settle(Sequence& s) {
  const bool waits = !s.finished && !s.request->paused && !s.decodes();
  if (waits) {
    line_.add(waiter_of(s));
  } else if (s.in_line) {
    line_.remove(waiter_of(s));
  }
  s.in_line = waits;
}

SequenceView Core::view_of(const Sequence& s) const {
  SequenceView v;
  v.tokens = static_cast<int32_t>(s.tokens.size());
  v.computed = s.computed;
  v.pages = static_cast<int32_t>(s.pages.size());
  v.paused = s.request->paused || s.finished;
  v.whole = embedding_.encoder;
  if (s.scorer.has_value()) v.scored_from = s.scorer->taken();
  v.service_class = s.request->request.service_class;
  v.shared_pages = shared_pages(s);
  v.seniority = s.seniority;
  v.age_ms = static_cast<double>(clock_.now_ns() - s.request->submitted_ns) * 1e-6;
  const bool batch = v.service_class == ServiceClass::kBatch;
  v.standing.rank = batch == line_.batch_first() ? 0 : 1;
  if (limits_.fairness == Fairness::kVtc) v.standing.counter = s.tenant->counter;
  v.standing.priority = s.request->request.priority;
  v.weight = s.tenant->weight;
  return v;
}

StepPlan Core::make_plan() {
  std::vector<SequenceView> views;
  lineup_.clear();
  const auto put = [&](Sequence& s) {
    lineup_.push_back(&s);
    views.push_back(view_of(s));
  };
  line_.first(static_cast<size_t>(limits_.max_running), heads_);
  for (Sequence* s : running_) {
    if (!s->in_line) put(*s);
  }
  for (const Waiter& w : heads_) put(*w.sequence);
  // Prompts that have started and are far back in line still hold pages.
  for (Sequence* s : running_) {
    if (s->in_line && std::find(lineup_.begin(), lineup_.end(), s) == lineup_.end()) put(*s);
  }
  prefix_.look_up(lineup_, views);
  return plan_step(views, make_budget());
}

StepBudget Core::make_budget() const {
  StepBudget budget;
  budget.step_tokens = limits_.step_tokens;
  budget.prefill_chunk_tokens = limits_.prefill_chunk_tokens;
  budget.scored_rows = std::max(1, kScoredRowBytes / (4 * runner_.vocab_size()));
  budget.max_running = limits_.max_running;
  budget.page_tokens = runner_.page_tokens();
  budget.free_pages = pool_.available_pages();
  budget.costs = costs_.costs();
  budget.interactive_itl_ms = limits_.interactive.itl_ms;
  budget.batch_itl_ms = limits_.batch.itl_ms;
  return budget;
}

// Tokens computed for the first time: what preemption made necessary again is not the tenant's.
void Core::charge(Sequence& s, bool decode) {
  const int32_t fresh = s.computed - s.charged;
  if (fresh <= 0) return;
  s.charged = s.computed;
  if (decode) return;  // its token was charged as output
  TenantTable::charge(*s.tenant, fresh, 0);
  settle_backlog(s);
  line_.served(s.request->request.service_class, fresh);
}

StepReport::OfTenant& Core::report_of(const Sequence& s) {
  StepReport::OfTenant& t = report_.tenants[s.tenant->name];
  t.counter = s.tenant->counter;
  return t;
}

// Its first step came, or it ended before. Precondition: its sequences are there.
void Core::left_queue(const ActiveRequest& r) {
  StepReport::OfTenant& t = report_of(*r.choices.front());
  ++t.left_queue;
  t.left_queue_tokens += r.request.prompt_tokens();
}

// A sequence that ended gives its place away.
void Core::note_residence(const Sequence& s) {
  if (s.started_ns == 0) return;
  const double ms = static_cast<double>(clock_.now_ns() - s.started_ns) * 1e-6;
  const double weight = load_.residence_ms == 0 ? 1.0 : kLoadSmoothing;
  load_.residence_ms += weight * (ms - load_.residence_ms);
}

// Tells admission of the prompt tokens that are not to be computed any more.
void Core::settle_backlog(Sequence& s) {
  const int64_t left =
      s.finished ? 0 : std::max<int64_t>(0, static_cast<int64_t>(s.prompt_tokens) - s.charged);
  StepReport::OfTenant& t = report_of(s);
  if (left >= s.backlog_tokens) return;
  t.computed_tokens[class_index(s.request->request.service_class)] += s.backlog_tokens - left;
  s.backlog_tokens = left;
}

// Whether somebody waits whom the step's tokens and time would have allowed to start.
void Core::note_full(const StepPlan& plan) {
  int32_t tokens = 0;
  for (const PlannedChunk& c : plan.chunks) tokens += c.tokens;
  const bool waits = std::any_of(heads_.begin(), heads_.end(), [](const Waiter& w) {
    return !w.started && w.sequence->pages.empty();
  });
  const bool places = std::cmp_less(running_.size(), limits_.max_running);
  load_.full = waits && (!places || (tokens < limits_.step_tokens && !load_.interactive_decodes));
}

void Core::report() {
  load_.budget.step_tokens = limits_.step_tokens;
  load_.budget.interactive_itl_ms = limits_.interactive.itl_ms;
  load_.budget.batch_itl_ms = limits_.batch.itl_ms;
  load_.budget.costs = costs_.costs();
  load_.running = static_cast<int32_t>(running_.size());
  load_.interactive_decodes = load_.batch_decodes = false;
  for (const Sequence* s : running_) {
    if (!s->decodes() || s->request->paused) continue;
    (s->request->request.service_class == ServiceClass::kBatch ? load_.batch_decodes
                                                               : load_.interactive_decodes) = true;
  }
  report_.load = load_;
  inbox_.report(report_);
  report_ = {};
}

// Pages that other sequences hold too.
int32_t Core::shared_pages(const Sequence& s) const {
  return static_cast<int32_t>(std::count_if(s.pages.begin(), s.pages.end(), [this](kv::PageId p) {
    return pool_.references(p) > (pool_.cached(p) ? 2 : 1);
  }));
}

// keep: what is computed stays in the prefix tree.
void Core::drop_pages(Sequence& s, bool keep) {
  prefix_.release(s, keep);
  speculator_.forget(s);  // what holds no pages drafts nothing
  s.tenant->running -= static_cast<int32_t>(std::erase(running_, &s));
}

void Core::preempt(Sequence& s) {
  drop_pages(s, true);
  if (s.pooler.has_value()) s.pooler->restart();
  settle(s);
  ++counters_.preemptions;
  recorder_.preempted(1);
}

// For when nothing can advance although something would: sequences that share pages free them only
// together, which the planner does not count on. Preempts a paused one, or the youngest that is not
// the only one.
bool Core::yield_youngest() {
  const auto paused = [](const Sequence* s) { return s->request->paused; };
  const auto youngest = std::find_if(running_.rbegin(), running_.rend(), paused);
  const auto unpaused =
      static_cast<size_t>(running_.rend() - running_.rbegin()) -
      static_cast<size_t>(std::count_if(running_.begin(), running_.end(), paused));
  if (unpaused == 0 && line_.size() == 0) return false;
  if (youngest != running_.rend()) {
    preempt(**youngest);
  } else if (unpaused > 1) {
    preempt(*running_.back());
  } else {
    return false;
  }
  return true;
}

// Preempts, then gives every chunk its pages. What a chunk finds in the prefix tree is pinned
// before any other takes pages, so it is still there. Where pins leave too little, because what was
// preempted is what another starts with, the last that would start waits.
void Core::reserve(StepPlan& plan) {
  for (const PlannedChunk& c : plan.chunks) {
    Sequence& s = *lineup_[c.sequence];
    if (s.pages.empty()) prefix_.attach(s, c.cached);
    s.charged = std::max(s.charged, s.computed);  // what was found costs nothing
  }
  for (const size_t i : plan.preempted) preempt(*lineup_[i]);
  for (const PlannedChunk& c : plan.chunks) settle_backlog(*lineup_[c.sequence]);
  std::vector<PlannedChunk>& chunks = plan.chunks;
  for (size_t i = 0; i < chunks.size();) {
    Sequence& s = *lineup_[chunks[i].sequence];
    if (prefix_.allocate(chunks[i].new_pages, s.pages)) {
      prefix_.copy_partial(s);
      ++i;
      continue;
    }
    size_t last = chunks.size() - 1;
    while (last > i && !chunks[last].starts) --last;
    if (chunks[last].starts) prefix_.release(*lineup_[chunks[last].sequence], false);
    chunks.erase(chunks.begin() + static_cast<ptrdiff_t>(last));
  }
  for (const PlannedChunk& c : plan.chunks) {
    if (!c.starts) continue;
    Sequence* s = lineup_[c.sequence];
    running_.insert(std::upper_bound(running_.begin(), running_.end(), s, is_older), s);
    ++s->tenant->running;
    if (s->started_ns != 0) continue;
    s->started_ns = std::max<int64_t>(1, clock_.now_ns());
    const double found = static_cast<double>(c.cached) / static_cast<double>(s->prompt_tokens);
    load_.cached_share += kLoadSmoothing * (std::min(1.0, found) - load_.cached_share);
  }
}

// Drafts take what the plan left: tokens of the step and pages that no sequence uses. The plan's
// own pages are reserved already. A step with prompts has none: its time is spoken for.
void Core::add_drafts(StepPlan& plan) {
  DraftRoom room{limits_.step_tokens, pool_.available_pages(), runner_.page_tokens()};
  for (const PlannedChunk& c : plan.chunks) {
    room.tokens -= c.tokens;
    if (!lineup_[c.sequence]->decodes()) room.tokens = 0;
  }
  const StepCosts costs = costs_.costs();
  if (limits_.speculation.depth == SpeculationLimits::kAuto && costs.known() &&
      costs.decode_token_ms > 0) {
    const double alone_ms = costs.predict_ms(work_of(plan));
    const double left_ms = std::max(kDraftStepMs, kDefaultItlRatio * alone_ms) - alone_ms;
    room.tokens = static_cast<int32_t>(
        std::min<double>(room.tokens, std::max(0.0, left_ms / costs.decode_token_ms)));
  }
  room.tokens = std::max(room.tokens, 0);
  speculator_.propose(plan, lineup_, room, costs_.costs());
  for (PlannedChunk& c : plan.chunks) {
    if (c.drafts == 0) continue;
    Sequence& s = *lineup_[c.sequence];
    const int32_t end = s.computed + c.tokens + c.drafts;
    const int32_t pages = kv::pages_for(end, room.page_tokens);
    if (!prefix_.allocate(pages - static_cast<int32_t>(s.pages.size()), s.pages)) c.drafts = 0;
  }
}

}  // namespace weir::engine
