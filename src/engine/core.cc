#include "engine/core.h"

#include <algorithm>
#include <utility>

#include "engine/invariants.h"

namespace weir::engine {
namespace {
constexpr double kSpeedSmoothing = 0.1;  // weight of the newest step: about the last ten count

Usage usage_of(const ActiveRequest& r) {
  return {static_cast<int32_t>(r.request.prompt_tokens()), r.completion_tokens, r.cached_tokens};
}
}  // namespace

Core::Core(Runner& runner, const text::Tokenizer& tokenizer, const Clock& clock,
           const EngineLimits& limits, const PrefixOptions& prefix, Inbox& inbox,
           int32_t max_context_tokens, const CostModel& costs)
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
      recorder_(clock) {}

bool Core::step() {
  recorder_.begin();
  take_in();
  drop_expired();
  StepPlan plan = make_plan();
  while (plan.chunks.empty() && yield_youngest()) plan = make_plan();
  recorder_.mark(Phase::kPlan);
  reserve(plan);
  const bool worked = !plan.chunks.empty();
  if (worked) {
    const StepWork work = work_of(plan);
    const int64_t start_ns = clock_.now_ns();
    int32_t tokens = 0;
    for (const PlannedChunk& c : plan.chunks) tokens += c.tokens;
    counters_.last_step_sequences = static_cast<int32_t>(plan.chunks.size());
    execute(plan);
    measure(start_ns, tokens, work);
  }
  deliver();
  recorder_.mark(Phase::kDeliver);
  remove_finished();
  prefix_.tick();
  return worked;
}

void Core::take_in() {
  Inbox::Contents contents = inbox_.take();
  for (auto& request : contents.requests) {
    ActiveRequest& r = *requests_.emplace_back(std::move(request));
    const bool embeds = r.request.embeds();
    r.unfinished_choices = embeds ? static_cast<int32_t>(r.request.texts.size()) : r.request.n;
    for (int32_t i = 0; i < r.unfinished_choices; ++i) {
      Sequence& s = *sequences_.emplace_back(std::make_unique<Sequence>(r, i, tokenizer_));
      prefix_.admit(s);
      if (embeds)
        s.pooler.emplace(*embedding_.pooling, static_cast<size_t>(embedding_.dim),
                         static_cast<int32_t>(s.prompt_tokens));
    }
  }
  for (const Order& order : contents.orders) obey(order);
}

void Core::obey(const Order& order) {
  if (order.kind == Order::Kind::kFlushCache) return prefix_.flush();
  for (const auto& r : requests_) {
    if (r->id != order.id) continue;
    if (order.kind == Order::Kind::kCancel) {
      end_request(*r, FinishReason::kCancelled, nullptr);
    } else {
      r->paused = order.kind == Order::Kind::kPause;
    }
  }
}

void Core::drop_expired() {
  const int64_t now = clock_.now_ns();
  for (const auto& r : requests_) {
    if (r->request.deadline_ns == 0 || now < r->request.deadline_ns || r->unfinished_choices == 0)
      continue;
    const Error late =
        make_error(ErrorCode::kServerOverloaded, "the request's deadline passed {}",
                   r->started_ns == 0 ? "while it was queued" : "while it was generated");
    end_request(*r, FinishReason::kError, &late);
  }
}

StepPlan Core::make_plan() {
  std::vector<SequenceView> views;
  std::vector<Sequence*> lineup;
  views.reserve(sequences_.size());
  for (const auto& s : sequences_) {
    views.push_back({static_cast<int32_t>(s->tokens.size()), s->computed,
                     static_cast<int32_t>(s->pages.size()), s->request->paused || s->finished,
                     embedding_.encoder, s->request->request.service_class});
    views.back().shared_pages = shared_pages(*s);
    lineup.push_back(s.get());
  }
  prefix_.look_up(lineup, views);
  StepBudget budget;
  budget.step_tokens = limits_.step_tokens;
  budget.prefill_chunk_tokens = limits_.prefill_chunk_tokens;
  budget.max_running = limits_.max_running;
  budget.page_tokens = runner_.page_tokens();
  budget.free_pages = pool_.available_pages();
  budget.costs = costs_.costs();
  budget.interactive_itl_ms = limits_.interactive.itl_ms;
  budget.batch_itl_ms = limits_.batch.itl_ms;
  return plan_step(views, budget);
}

// Pages that other sequences hold too.
int32_t Core::shared_pages(const Sequence& s) const {
  return static_cast<int32_t>(std::count_if(s.pages.begin(), s.pages.end(), [this](kv::PageId p) {
    return pool_.references(p) > (pool_.cached(p) ? 2 : 1);
  }));
}

void Core::preempt(Sequence& s) {
  prefix_.release(s, true);
  if (s.pooler.has_value()) s.pooler->restart();
  ++counters_.preemptions;
  recorder_.preempted(1);
}

// For when nothing can advance: sequences that share pages free them only together, which the
// planner does not count on. Preempts the youngest that is younger than one that could advance.
bool Core::yield_youngest() {
  const auto stuck = std::find_if(sequences_.begin(), sequences_.end(), [](const auto& s) {
    return !s->finished && !s->request->paused;
  });
  if (stuck == sequences_.end()) return false;
  for (auto s = sequences_.end(); --s > stuck;) {
    if ((*s)->pages.empty()) continue;
    preempt(**s);
    return true;
  }
  return false;
}

// Preempts, then gives every chunk its pages. What a chunk finds in the prefix tree is pinned
// before any other takes pages, so it is still there. Where pins leave too little, because what was
// preempted is what another starts with, the last that would start waits.
void Core::reserve(StepPlan& plan) {
  for (const PlannedChunk& c : plan.chunks) {
    Sequence& s = *sequences_[c.sequence];
    if (s.pages.empty()) prefix_.attach(s, c.cached);
  }
  for (const size_t i : plan.preempted) preempt(*sequences_[i]);
  std::vector<PlannedChunk>& chunks = plan.chunks;
  for (size_t i = 0; i < chunks.size();) {
    Sequence& s = *sequences_[chunks[i].sequence];
    if (prefix_.allocate(chunks[i].new_pages, s.pages)) {
      prefix_.copy_partial(s);
      ++i;
      continue;
    }
    size_t last = chunks.size() - 1;
    while (last > i && !chunks[last].starts) --last;
    if (chunks[last].starts) prefix_.release(*sequences_[chunks[last].sequence], false);
    chunks.erase(chunks.begin() + static_cast<ptrdiff_t>(last));
  }
}

Status Core::run_chunks(std::span<const PlannedChunk> chunks) {
  batch_.clear();
  size_t rows = 0;
  size_t hidden_rows = 0;
  for (const PlannedChunk& c : chunks) {
    const Sequence& s = *sequences_[c.sequence];
    model::Chunk chunk;
    chunk.tokens = std::span<const int32_t>(s.tokens).subspan(static_cast<size_t>(s.computed),
                                                              static_cast<size_t>(c.tokens));
    chunk.position = s.computed;
    chunk.pages = s.pages;
    if (s.pooler.has_value()) {
      chunk.hidden_rows = s.pooler->wanted_rows(s.computed, c.tokens);
    } else {
      chunk.logit_rows = c.samples ? 1 : 0;
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

void Core::execute(const StepPlan& plan) {
  const int64_t now = clock_.now_ns();
  recorder_.mark(Phase::kReserve);
  for (const PlannedChunk& c : plan.chunks) {
    const Sequence& s = *sequences_[c.sequence];
    ActiveRequest& r = *s.request;
    recorder_.part({r.id, s.choice, c.tokens, c.tokens > 1 || s.generated() == 0});
    if (r.started_ns != 0) continue;
    r.started_ns = std::max<int64_t>(now, 1);
    inbox_.left_queue(r.request.prompt_tokens());
  }
  ++counters_.steps;
  if (const Status status = run_chunks(plan.chunks); status.ok()) {
    commit(plan.chunks);
  } else {
    ++counters_.failed_steps;
    execute_one_by_one(plan, status.error());
  }
}

// A failed step may be the fault of one sequence: run each alone, so that it takes down only
// itself.
void Core::execute_one_by_one(const StepPlan& plan, const Error& first) {
  for (const PlannedChunk& chunk : plan.chunks) {
    const std::span<const PlannedChunk> one(&chunk, 1);
    if (plan.chunks.size() == 1) {
      fail(*sequences_[chunk.sequence], first);
    } else if (const Status status = run_chunks(one); status.ok()) {
      commit(one);
    } else {
      fail(*sequences_[chunk.sequence], status.error());
    }
  }
}

void Core::commit(std::span<const PlannedChunk> chunks) {
  const auto vocab = static_cast<size_t>(runner_.vocab_size());
  const auto dim = static_cast<size_t>(embedding_.dim);
  size_t row = 0;
  size_t hidden_row = 0;
  for (const PlannedChunk& c : chunks) {
    Sequence& s = *sequences_[c.sequence];
    if (s.pooler.has_value()) {
      const auto rows = static_cast<size_t>(s.pooler->wanted_rows(s.computed, c.tokens));
      s.pooler->add(s.computed,
                    std::span<const float>(hidden_).subspan(hidden_row * dim, rows * dim));
      hidden_row += rows;
    }
    s.computed += c.tokens;
    if (s.generated() == 0 || c.tokens > 1)
      counters_.prompt_tokens += static_cast<uint64_t>(c.tokens);
    prefix_.committed(s);
    if (!c.samples) continue;
    if (s.pooler.has_value()) {
      take_embedding(s);
    } else {
      take_token(s, std::span<float>(logits_).subspan(row++ * vocab, vocab));
    }
  }
  recorder_.mark(Phase::kSample);
}

// The text is computed: its embedding goes out.
void Core::take_embedding(Sequence& s) {
  auto embedding = s.pooler->finish();
  if (!embedding.ok()) return fail(s, embedding.error());
  ActiveRequest& r = *s.request;
  r.first_token_ns = r.last_token_ns = std::max<int64_t>(clock_.now_ns(), 1);
  event_for(s).embedding = std::move(*embedding);
  finish(s, FinishReason::kStop);
}

void Core::take_token(Sequence& s, std::span<float> logits) {
  const Request& q = s.request->request;
  banned_.clear();
  if (s.generated() < q.min_tokens) {
    banned_ = tokenizer_.eog_tokens();
    banned_.insert(banned_.end(), q.stop_token_ids.begin(), q.stop_token_ids.end());
  }
  const std::span<const int32_t> all(s.tokens);
  auto token = sampler_.sample(logits, q.sampling,
                               {all.first(s.prompt_tokens), all.subspan(s.prompt_tokens)}, banned_,
                               s.choice, static_cast<int64_t>(s.tokens.size()));
  if (token.ok()) {
    accept(s, std::move(*token));
  } else {
    fail(s, token.error());
  }
}

void Core::accept(Sequence& s, TokenInfo token) {
  ActiveRequest& r = *s.request;
  const Request& q = r.request;
  const int64_t now = std::max<int64_t>(clock_.now_ns(), 1);
  if (r.first_token_ns == 0) r.first_token_ns = now;
  r.last_token_ns = now;
  ++r.completion_tokens;
  ++counters_.generated_tokens;
  const int32_t id = token.id;
  s.tokens.push_back(id);
  const bool ends =
      (!q.ignore_eos && tokenizer_.is_eog(id)) ||
      std::find(q.stop_token_ids.begin(), q.stop_token_ids.end(), id) != q.stop_token_ids.end();
  if (ends) {
    finish(s, FinishReason::kStop);
    return;
  }
  event_for(s).tokens.push_back(std::move(token));
  const bool stopped = add_text(s, id);
  r.detokenize_ns += clock_.now_ns() - now;
  if (stopped) {
    s.detokenizer.flush();  // nothing follows a stop string
    finish(s, FinishReason::kStop);
  } else if (s.generated() >= q.max_tokens) {
    finish(s, FinishReason::kLength);
  }
}

// Adds a token's text to the event; whether a stop string ended it.
bool Core::add_text(Sequence& s, int32_t id) {
  const std::string piece = s.detokenizer.push(id);
  if (s.generated() <= s.request->request.min_tokens) {
    event_for(s).text += piece;
    return false;
  }
  StopScanner::Output out = s.stops.push(piece);
  event_for(s).text += out.text;
  return out.stopped;
}

Event& Core::event_for(Sequence& s) {
  for (Event& e : s.request->events) {
    if (e.choice == s.choice) return e;
  }
  Event& e = s.request->events.emplace_back();
  e.choice = s.choice;
  return e;
}

// Ends a choice: shows what was held back (unless a stop string was found, which leaves nothing),
// frees its pages.
void Core::finish(Sequence& s, FinishReason reason) {
  Event& e = event_for(s);
  e.text += s.stops.flush();
  e.text += s.detokenizer.flush();
  e.finish = reason;
  s.finished = true;
  prefix_.release(s, reason != FinishReason::kError);
  s.request->outcome = reason;
  --s.request->unfinished_choices;
}

void Core::fail(Sequence& s, Error error) {
  event_for(s).error = std::move(error);
  finish(s, FinishReason::kError);
}

void Core::end_request(ActiveRequest& r, FinishReason reason, const Error* error) {
  for (const auto& s : sequences_) {
    if (s->request != &r || s->finished) continue;
    if (error != nullptr) event_for(*s).error = *error;
    finish(*s, reason);
  }
}

void Core::deliver() {
  for (const auto& r : requests_) {
    if (r->events.empty()) continue;
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
    d.timings.decode_ms = ms(r->first_token_ns, r->last_token_ns);
    d.timings.detokenize_ms = static_cast<double>(r->detokenize_ns) * 1e-6;
    if (r->sink != nullptr) r->sink->on_delivery(d);
    r->events.clear();
  }
}

void Core::remove_finished() {
  std::erase_if(sequences_, [](const auto& s) { return s->finished; });
  std::erase_if(requests_, [this](const auto& r) {
    if (r->unfinished_choices > 0) return false;
    if (r->started_ns == 0) inbox_.left_queue(r->request.prompt_tokens());
    recorder_.ended({r->id, r->request.request_id, r->submitted_ns, r->started_ns,
                     r->first_token_ns, r->last_token_ns, 0, usage_of(*r), r->outcome});
    ++counters_.finished_requests;
    inbox_.request_finished();
    return true;
  });
}

void Core::cancel_all() {
  take_in();
  for (const auto& r : requests_) end_request(*r, FinishReason::kCancelled, nullptr);
  deliver();
  remove_finished();
}

StepWork Core::work_of(const StepPlan& plan) const {
  StepWork work;
  for (const PlannedChunk& c : plan.chunks) {
    const Sequence& s = *sequences_[c.sequence];
    const auto known = static_cast<int64_t>(s.tokens.size());
    if (known - s.computed == 1) {
      work.add_decode(known);
    } else {
      work.add_prefill(s.computed, c.tokens);
    }
  }
  return work;
}

void Core::measure(int64_t start_ns, int32_t tokens, const StepWork& work) {
  const int64_t now_ns = clock_.now_ns();
  costs_.observe(work, static_cast<double>(now_ns - start_ns) * 1e-6);
  const double seconds = std::max(1e-6, static_cast<double>(now_ns - start_ns) * 1e-9);
  counters_.last_step_ms = seconds * 1e3;
  counters_.last_step_tokens = tokens;
  const double rate = tokens / seconds;
  double& smoothed = counters_.tokens_per_s;
  smoothed = smoothed == 0 ? rate : smoothed + kSpeedSmoothing * (rate - smoothed);
  inbox_.set_tokens_per_s(smoothed);
}

void Core::fill(EngineStats& stats) const {
  stats = counters_;
  for (const auto& s : sequences_)
    ++(s->pages.empty() ? stats.waiting_sequences : stats.running_sequences);
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
