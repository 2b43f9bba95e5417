// The engine's state and its step, for one thread; Engine puts threads around it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/cost_model.h"
#include "engine/engine.h"
#include "engine/inbox.h"
#include "engine/prefix_cache.h"
#include "engine/runner.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/speculator.h"
#include "engine/step_record.h"
#include "engine/waiting_line.h"
#include "kv/page_pool.h"
#include "text/tokenizer.h"

namespace weir::engine {

class Core {
 public:
  Core(Runner& runner, const text::Tokenizer& tokenizer, const Clock& clock,
       const EngineLimits& limits, const PrefixOptions& prefix, Inbox& inbox,
       int32_t max_context_tokens, const CostModel& costs, Runner* draft);

  // Takes in what came, runs one step, delivers. False: nothing could be done.
  bool step();
  // Ends everything as cancelled.
  void cancel_all();
  bool empty() const { return sequences_.empty(); }
  bool busy() const { return prefix_.busy(); }  // step() has something to go on with, soon
  void keep_prefixes() { prefix_.keep(); }
  void fill(EngineStats& stats) const;
  Status check() const;
  // What step() did last, and which requests ended in it.
  const StepRecorder& recorder() const { return recorder_; }

 private:
  void take_in();
  void obey(const Order& order);
  void drop_expired();
  ActiveRequest* find(RequestId id);
  StepBudget make_budget() const;
  StepPlan make_plan();
  SequenceView view_of(const Sequence& s) const;
  Waiter waiter_of(Sequence& s) const;
  void settle(Sequence& s);
  void charge(Sequence& s, bool decode);
  StepReport::OfTenant& report_of(const Sequence& s);
  void left_queue(const ActiveRequest& r);
  void settle_backlog(Sequence& s);
  void note_residence(const Sequence& s);
  void note_full(const StepPlan& plan);
  void report();
  int32_t shared_pages(const Sequence& s) const;
  void drop_pages(Sequence& s, bool keep);
  void preempt(Sequence& s);
  bool yield_youngest();
  void reserve(StepPlan& plan);
  void add_drafts(StepPlan& plan);
  bool execute(const StepPlan& plan);  // false: the step failed and ran again in parts
  void execute_one_by_one(const StepPlan& plan, const Error& first);
  Status run_chunks(std::span<const PlannedChunk> chunks);
  void commit(std::span<const PlannedChunk> chunks);
  static int32_t prompt_rows(const Sequence& s, const PlannedChunk& c);
  static int32_t sample_rows(const Sequence& s, const PlannedChunk& c);
  void take_embedding(Sequence& s);
  void end_prompt(Sequence& s);
  void take_token(Sequence& s, std::span<float> logits);
  void take_drafted(Sequence& s, std::span<float> logits);
  void accept(Sequence& s, TokenInfo token);
  bool add_text(Sequence& s, int32_t id);
  void finish(Sequence& s, FinishReason reason);
  void fail(Sequence& s, Error error);
  void end_request(ActiveRequest& r, FinishReason reason, const Error* error);
  Event& event_for(Sequence& s);
  void forget_due(const ActiveRequest& r);
  void deliver();
  void remove_finished();
  StepWork work_of(const StepPlan& plan) const;
  void measure(int64_t start_ns, int32_t tokens, const StepWork& work, bool as_planned);

  Runner& runner_;
  const text::Tokenizer& tokenizer_;
  const Clock& clock_;
  const EngineLimits limits_;
  Inbox& inbox_;
  const int32_t max_context_tokens_;
  const EmbeddingTraits embedding_;
  kv::PagePool pool_;
  PrefixCache prefix_;
  Sampler sampler_{runner_.isa()};
  CostModel costs_;
  Speculator speculator_;
  std::vector<std::unique_ptr<ActiveRequest>> requests_;  // by id
  std::vector<std::unique_ptr<Sequence>> sequences_;      // oldest first
  uint64_t next_seniority_ = 0;
  TenantTable tenants_;
  WaitingLine line_;
  std::vector<Sequence*> running_;  // those that hold pages, oldest first
  std::vector<Sequence*> lineup_;   // what the views of the step's plan stand for
  std::vector<Waiter> heads_;
  std::vector<ActiveRequest*> touched_;       // those with events
  std::multimap<int64_t, RequestId> due_ns_;  // deadlines and queue time-outs
  bool any_finished_ = false;
  StepReport report_;  // of the running step
  EngineLoad load_;
  std::vector<model::Chunk> batch_;
  std::vector<int32_t> drafted_;  // the tokens of chunks with drafts, one after the other
  std::vector<float> logits_;
  std::vector<float> hidden_;
  std::vector<int32_t> banned_;
  EngineStats counters_;
  StepRecorder recorder_;
};

}  // namespace weir::engine
