#include "engine/core.h"

#include <algorithm>
#include <utility>

#include "engine/invariants.h"

namespace weir::engine {
namespace {

constexpr double kSpeedSmoothing = 0.1;  // weight of the newest step: about the last ten count

Usage usage_of(const ActiveRequest& r) {
  return {static_cast<int32_t>(r.request.prompt_tokens()), r.completion_tokens, r.cached_tokens,
          r.accepted_drafts, r.rejected_drafts};
}

// When a request that has not started is given up.
int64_t queue_end_ns(const ActiveRequest& r, const EngineLimits& limits) {
  return r.submitted_ns + static_cast<int64_t>(limits.queue_timeout_ms * 1e6);
}

}  // namespace

Core::Core(Runner& runner, const text::Tokenizer& tokenizer, const Clock& clock,
           const EngineLimits& limits, const PrefixOptions& prefix, Inbox& inbox,
           int32_t max_context_tokens, const CostModel& costs, Runner* draft)
    : runner_(runner),
      tokenizer_(tokenizer),
      clock_(clock),
      limits_(limits),
      inbox_(inbox),
      max_context_tokens_(max_context_tokens),
      embedding_(runner.embedding()),
      pool_(runner.pages()),
      prefix_(runner, pool_, clock, prefix),
      costs_(costs),
      speculator_(limits.speculation, clock, draft, runner.vocab_size()),
      line_(limits.fairness, tenants_),
      recorder_(clock) {
  report();  // the first request is judged too
}

bool Core::step() {
  recorder_.begin();
  take_in();
  drop_expired();
  StepPlan plan = make_plan();
  while (plan.chunks.empty() && yield_youngest()) plan = make_plan();
  recorder_.mark(Phase::kPlan);
  reserve(plan);
  note_full(plan);
  add_drafts(plan);
  const bool worked = !plan.chunks.empty();
  if (worked) {
    const StepWork work = work_of(plan);
    const int64_t start_ns = clock_.now_ns();
    int32_t tokens = 0;
    for (const PlannedChunk& c : plan.chunks) tokens += c.tokens + c.drafts;
    counters_.last_step_sequences = static_cast<int32_t>(plan.chunks.size());
    // What rows of logits for prompts cost is not in the model of costs.
    const bool scores = std::any_of(plan.chunks.begin(), plan.chunks.end(), [this](const auto& c) {
      return prompt_rows(*lineup_[c.sequence], c) > 0;
    });
    const bool as_planned = execute(plan);
    measure(start_ns, tokens, work, as_planned && !scores);
    load_.decodes = work;
    load_.decodes.prefill_tokens = load_.decodes.prefill_kv_pairs = 0;
  }
  deliver();
  recorder_.mark(Phase::kDeliver);
  remove_finished();
  prefix_.tick();
  report();
  return worked;
}

void Core::take_in() {
  Inbox::Contents contents = inbox_.take();
  for (auto& request : contents.requests) {
    ActiveRequest& r = *requests_.emplace_back(std::move(request));
    const Request& q = r.request;
    r.unfinished_choices = q.embeds() ? static_cast<int32_t>(q.texts.size()) : q.n;
    for (int32_t i = 0; i < r.unfinished_choices; ++i) {
      Sequence& s = *sequences_.emplace_back(std::make_unique<Sequence>(r, i, tokenizer_));
      r.choices.push_back(&s);
      s.seniority = next_seniority_++;
      s.tenant = tenants_.enter(q.tenant.name, q.tenant.weight, q.tenant.max_running);
      prefix_.admit(s);
      if (q.embeds())
        s.pooler.emplace(*embedding_.pooling, static_cast<size_t>(embedding_.dim),
                         static_cast<int32_t>(s.prompt_tokens));
      if (i == 0 && q.prompt_logprobs >= 0) s.scorer.emplace(q.prompt, q.prompt_logprobs);
      s.backlog_tokens = i == 0 || q.embeds() ? static_cast<int64_t>(s.prompt_tokens) : 0;
      settle(s);
      report_of(s);
    }
    if (q.deadline_ns != 0) due_ns_.emplace(q.deadline_ns, r.id);
    if (limits_.queue_timeout_ms > 0) due_ns_.emplace(queue_end_ns(r, limits_), r.id);
  }
  for (const Order& order : contents.orders) obey(order);
}

ActiveRequest* Core::find(RequestId id) {
  const auto at = std::lower_bound(requests_.begin(), requests_.end(), id,
                                   [](const auto& r, RequestId want) { return r->id < want; });
  return at != requests_.end() && (*at)->id == id ? at->get() : nullptr;
}

void Core::obey(const Order& order) {
  if (order.kind == Order::Kind::kFlushCache) return prefix_.flush();
  ActiveRequest* r = find(order.id);
  if (r == nullptr) return;
  if (order.kind == Order::Kind::kCancel) {
    end_request(*r, FinishReason::kCancelled, nullptr);
    return;
  }
  r->paused = order.kind == Order::Kind::kPause;
  for (Sequence* s : r->choices) settle(*s);
}

void Core::drop_expired() {
  const int64_t now = clock_.now_ns();
  while (!due_ns_.empty() && due_ns_.begin()->first <= now) {
    ActiveRequest* r = find(due_ns_.begin()->second);
    due_ns_.erase(due_ns_.begin());
    if (r == nullptr || r->unfinished_choices == 0) continue;
    const bool queued = r->started_ns == 0;
    const int64_t deadline = r->request.deadline_ns;
    if (deadline != 0 && now >= deadline) {
      Error late = make_error(ErrorCode::kServerOverloaded, "the request's deadline passed {}",
                              queued ? "while it was queued" : "while it was generated");
      late.bound = "deadline";
      end_request(*r, FinishReason::kError, &late);
    } else if (queued) {
      Error late = make_error(ErrorCode::kServerOverloaded,
                              "the request waited {:.1f} s for its first step, the most that is "
                              "allowed (queue_timeout_s); try again when there is less to do",
                              limits_.queue_timeout_ms * 1e-3);
      late.bound = "queue_timeout_s";
      late.retry_after_s = 1;
      end_request(*r, FinishReason::kError, &late);
    }
  }
}

Status Core::run_chunks(std::span<const PlannedChunk> chunks) {
  batch_.clear();
  drafted_.clear();
  size_t drafted = 0;
  for (const PlannedChunk& c : chunks)
    drafted += c.drafts > 0 ? static_cast<size_t>(c.drafts) + 1 : 0;
  drafted_.reserve(drafted);  // spans into it stay valid
  size_t rows = 0;
  size_t hidden_rows = 0;
  for (const PlannedChunk& c : chunks) {
    const Sequence& s = *lineup_[c.sequence];
    model::Chunk chunk;
    chunk.tokens = std::span<const int32_t>(s.tokens).subspan(static_cast<size_t>(s.computed),
                                                              static_cast<size_t>(c.tokens));
    chunk.position = s.computed;
    chunk.pages = s.pages;
    if (s.pooler.has_value()) {
      chunk.hidden_rows = s.pooler->wanted_rows(s.computed, c.tokens);
    } else {
      chunk.logit_rows = prompt_rows(s, c) + sample_rows(s, c);
    }
    if (c.drafts > 0) {  // the newest token and what may follow it
      drafted_.push_back(s.tokens.back());
      drafted_.insert(drafted_.end(), s.draft.begin(), s.draft.end());
      chunk.tokens = std::span<const int32_t>(drafted_).last(s.draft.size() + 1);
    }
    hidden_rows += static_cast<size_t>(chunk.hidden_rows);
    rows += static_cast<size_t>(chunk.logit_rows);
    batch_.push_back(chunk);
  }
  logits_.resize(rows * static_cast<size_t>(runner_.vocab_size()));
  hidden_.resize(hidden_rows * static_cast<size_t>(embedding_.dim));
  Status status = runner_.forward(batch_, logits_, hidden_);
  recorder_.mark(Phase::kForward);
  return status;
}

bool Core::execute(const StepPlan& plan) {
  const int64_t now = clock_.now_ns();
  bool any_started = false;
  recorder_.mark(Phase::kReserve);
  for (const PlannedChunk& c : plan.chunks) {
    const Sequence& s = *lineup_[c.sequence];
    ActiveRequest& r = *s.request;
    recorder_.part({r.id, s.choice, c.tokens + c.drafts, c.tokens > 1 || s.generated() == 0});
    if (r.started_ns != 0) continue;
    r.started_ns = std::max<int64_t>(now, 1);
    left_queue(r);
    any_started = true;
  }
  if (any_started) report();  // a step may be long: the queue has room from now on
  ++counters_.steps;
  if (const Status status = run_chunks(plan.chunks); status.ok()) {
    commit(plan.chunks);
    return true;
  } else {
    ++counters_.failed_steps;
    execute_one_by_one(plan, status.error());
    return false;
  }
}

// A failed step may be the fault of one sequence: run each alone, so that it takes down only
// itself.
void Core::execute_one_by_one(const StepPlan& plan, const Error& first) {
  for (const PlannedChunk& chunk : plan.chunks) {
    const std::span<const PlannedChunk> one(&chunk, 1);
    if (plan.chunks.size() == 1) {
      fail(*lineup_[chunk.sequence], first);
    } else if (const Status status = run_chunks(one); status.ok()) {
      commit(one);
    } else {
      fail(*lineup_[chunk.sequence], status.error());
    }
  }
}

// Ends a choice: shows what was held back (unless a stop string was found, which leaves nothing),
// frees its pages.
void Core::finish(Sequence& s, FinishReason reason) {
  Event& e = event_for(s);
  e.text += s.stops.flush();
  e.text += s.detokenizer.flush();
  e.finish = reason;
  s.finished = true;
  any_finished_ = true;
  settle_backlog(s);
  note_residence(s);
  drop_pages(s, reason != FinishReason::kError);
  settle(s);
  s.request->outcome = reason;
  --s.request->unfinished_choices;
}

void Core::fail(Sequence& s, Error error) {
  event_for(s).error = std::move(error);
  finish(s, FinishReason::kError);
}

void Core::end_request(ActiveRequest& r, FinishReason reason, const Error* error) {
  for (Sequence* s : r.choices) {
    if (s->finished) continue;
    if (error != nullptr) event_for(*s).error = *error;
    finish(*s, reason);
  }
}

void Core::deliver() {
  for (ActiveRequest* r : touched_) {
    Delivery d;
    d.id = r->id;
    d.events = r->events;
    d.done = r->unfinished_choices == 0;
    d.usage = usage_of(*r);
    const auto ms = [](int64_t from, int64_t to) {
      return from == 0 || to == 0 ? 0.0 : static_cast<double>(to - from) * 1e-6;
    };
    d.timings.queue_ms = ms(r->submitted_ns, r->started_ns);
    d.timings.prefill_ms = ms(r->started_ns, r->first_token_ns);
    d.timings.predicted_ttft_ms = r->predicted_ttft_ms;
    d.timings.decode_ms = ms(r->first_token_ns, r->last_token_ns);
    d.timings.detokenize_ms = static_cast<double>(r->detokenize_ns) * 1e-6;
    if (r->sink != nullptr) r->sink->on_delivery(d);
    r->events.clear();
  }
  touched_.clear();
}

void Core::remove_finished() {
  if (!std::exchange(any_finished_, false)) return;
  for (const auto& r : requests_) {
    if (r->unfinished_choices == 0 && r->started_ns == 0) left_queue(*r);
  }
  std::erase_if(sequences_, [this](const auto& s) {
    if (!s->finished) return false;
    std::erase(s->request->choices, s.get());
    tenants_.leave(s->tenant);
    return true;
  });
  std::erase_if(requests_, [this](const auto& r) {
    if (r->unfinished_choices > 0) return false;
    forget_due(*r);
    recorder_.ended({r->id, r->request.request_id, r->submitted_ns, r->started_ns,
                     r->first_token_ns, r->last_token_ns, 0, usage_of(*r), r->outcome});
    ++counters_.finished_requests;
    ++report_.finished_requests;
    return true;
  });
}

void Core::forget_due(const ActiveRequest& r) {
  for (const int64_t due_ns : {r.request.deadline_ns, queue_end_ns(r, limits_)}) {
    auto [at, end] = due_ns_.equal_range(due_ns);
    while (at != end) at = at->second == r.id ? due_ns_.erase(at) : std::next(at);
  }
}

void Core::cancel_all() {
  take_in();
  for (const auto& r : requests_) end_request(*r, FinishReason::kCancelled, nullptr);
  deliver();
  remove_finished();
  report();
}

StepWork Core::work_of(const StepPlan& plan) const {
  StepWork work;
  for (const PlannedChunk& c : plan.chunks) {
    const Sequence& s = *lineup_[c.sequence];
    if (s.decodes()) {
      work.add_decode(static_cast<int64_t>(s.tokens.size()), c.tokens + c.drafts);
    } else {
      work.add_prefill(s.computed, c.tokens);
    }
  }
  return work;
}

// as_planned: it ran as one step that computed nothing else; what another took says nothing of what
// such work costs.
void Core::measure(int64_t start_ns, int32_t tokens, const StepWork& work, bool as_planned) {
  const int64_t now_ns = clock_.now_ns();
  const double seconds = std::max(1e-6, static_cast<double>(now_ns - start_ns) * 1e-9);
  counters_.last_step_ms = seconds * 1e3;
  counters_.last_step_tokens = tokens;
  const double rate = tokens / seconds;
  double& smoothed = counters_.tokens_per_s;
  smoothed = smoothed == 0 ? rate : smoothed + kSpeedSmoothing * (rate - smoothed);
  if (!as_planned) return;
  costs_.observe(work, static_cast<double>(now_ns - start_ns) * 1e-6);
  speculator_.step_done(tokens, counters_.last_step_ms);
}

void Core::fill(EngineStats& stats) const {
  stats = counters_;
  stats.running_sequences = static_cast<int32_t>(running_.size());
  stats.waiting_sequences = static_cast<int32_t>(sequences_.size() - running_.size());
  stats.total_pages = pool_.total_pages();
  stats.free_pages = pool_.available_pages();
  prefix_.fill(stats);
}

Status Core::check() const {
  WEIR_TRY(prefix_.tree().check());
  return check_state(pool_, sequences_, requests_, limits_, runner_.page_tokens(),
                     max_context_tokens_);
}

}  // namespace weir::engine
