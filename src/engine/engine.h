// Continuous batching over one model: requests come in from any thread, steps run on one, events go
// out once a step.
//
// A step is a transaction: plan (pure) → reserve pages → execute → commit. A failure before commit
// leaves the state as it was; a request that fails takes down only itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/result.h"
#include "engine/cost_model.h"
#include "engine/fairness.h"
#include "engine/request.h"
#include "engine/runner.h"
#include "engine/step_record.h"
#include "text/tokenizer.h"

namespace weir::kv {
class CacheEvents;
class PageTier;
}  // namespace weir::kv

namespace weir::engine {

// What a class of requests is promised; 0: nothing.
struct Slo {
  double itl_ms = 0;   // between two tokens; 0: see StepBudget::itl_ms
  double ttft_ms = 0;  // submit to first token
};

// Guesses at the next tokens, verified in the same step: faster where they are right, and the same
// tokens either way.
struct SpeculationLimits {
  static constexpr int32_t kAuto = -1;
  // Draft tokens of a sequence in a step: 0 none, kAuto as many as pay, up to max_depth; otherwise
  // always so many, where the text has a guess.
  int32_t depth = 0;
  int32_t max_depth = 15;  // with the token before them 16, which is one pass over the weights
  // Text that is searched for guesses, of one sequence and of all; 96 bytes of memory a token.
  int32_t max_index_tokens = 65'536;
  int64_t max_all_index_tokens = 1'048'576;
  // Answers to earlier requests of the tenant that are searched too: the newest so many tokens.
  int32_t shared_tokens = 0;
};

// A request that passes one of these bounds is refused with an error that says which it was; the
// first three shape steps and are clamped to what a step can hold.
struct EngineLimits {
  int32_t step_tokens = 512;            // tokens of one step
  int32_t prefill_chunk_tokens = 512;   // of one sequence in a step
  int32_t max_running = 64;             // sequences that hold pages
  int32_t max_queued_requests = 256;    // requests that wait for their first step
  int64_t max_queued_tokens = 262'144;  // prompt tokens of those
  int32_t max_context_tokens = 0;       // 0: the model's window; bounded by it and by the KV cache
  int32_t max_input_tokens = 0;         // 0: the context
  int32_t max_output_tokens = 0;        // 0: the context
  int32_t max_choices = 16;             // n
  int32_t max_stops = 16;
  int32_t max_texts = 2048;           // of one embeddings request
  int64_t max_text_tokens = 262'144;  // of all its texts
  // Of those that wait for their first step; 0: as long as they like.
  double queue_timeout_ms = 0;
  Fairness fairness = Fairness::kVtc;
  Slo interactive = {};
  Slo batch = {};
  SpeculationLimits speculation = {};
};

// What became of a snapshot of the prefix cache.
struct SnapshotReport {
  enum class Kind { kRestored, kIgnored, kWritten, kNotWritten };
  Kind kind = Kind::kRestored;
  int32_t pages = 0;
  double ms = 0;
  std::optional<Error> error;  // why it was ignored or not written, with the file's name
};

// Reuse of keys and values between requests that begin alike; engine/prefix_cache.h.
struct PrefixOptions {
  bool enabled = true;
  HashKey hash_key;  // from outside randomness; the same key names the same pages
  // A file that outlives the process; "": none. Written every interval_s when something changed,
  // and by stop(). It holds what prompts said, as the pages do.
  std::string snapshot_path;
  double snapshot_interval_s = 60;
  Hash128 model;       // whose pages they are
  std::string traits;  // what else their bytes depend on: ISA, KV types, build of the program
  std::function<void(const SnapshotReport&)> on_snapshot;  // engine thread
  // Both borrowed, outliving the engine, and may be missing.
  kv::CacheEvents* events = nullptr;  // hears what the cache stores and evicts
  kv::PageTier* tier = nullptr;       // keeps what it evicts
};

// A snapshot of what the engine holds; see Engine::stats.
struct EngineStats {
  int32_t queued_requests = 0;
  int64_t queued_tokens = 0;
  int32_t running_sequences = 0;
  int32_t waiting_sequences = 0;  // admitted or preempted, without pages
  int32_t total_pages = 0;
  int32_t free_pages = 0;              // what a request can get: empty ones and those below
  int32_t evictable_pages = 0;         // of these: of the prefix tree, used by nobody
  int32_t prefix_pages = 0;            // of the prefix tree
  uint64_t prefix_evictions = 0;       // pages that left the tree for lack of room
  uint64_t prefix_queries_tokens = 0;  // prompt tokens looked up, once per choice
  uint64_t prefix_hits_tokens = 0;     // of those, found
  int32_t tier_pages = 0;              // in the second tier
  uint64_t tier_hits_pages = 0;        // that came back from it
  uint64_t steps = 0;
  uint64_t prompt_tokens = 0;  // computed, recomputation after preemption included
  uint64_t generated_tokens = 0;
  uint64_t preemptions = 0;
  uint64_t finished_requests = 0;
  uint64_t failed_steps = 0;
  uint64_t draft_tokens = 0;  // computed to be verified
  uint64_t accepted_draft_tokens = 0;
  double last_step_ms = 0;
  int32_t last_step_tokens = 0;
  int32_t last_step_sequences = 0;
  double tokens_per_s = 0;  // smoothed
};

// Hears of every step that computed something, on the engine thread.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  // The state after the step and what it did; it should return at once.
  virtual void on_step(const EngineStats& stats, const StepRecord& step) = 0;
  // A request is over; before on_step of the step it ended in, which may have computed nothing.
  virtual void on_request_end(const RequestRecord& /*request*/) {}
};

class Engine {
 public:
  // The first three are borrowed and outlive the engine. Nothing runs until start() or step().
  // costs: as engine/calibration.h fits them; without, the first steps are taken to cost nothing.
  // draft: of a smaller model with the same vocabulary, whose guesses steps verify; borrowed too.
  Engine(Runner& runner, const text::Tokenizer& tokenizer, const Clock& clock,
         const EngineLimits& limits, const PrefixOptions& prefix = {}, const CostModel& costs = {},
         Runner* draft = nullptr);
  ~Engine();  // stops; requests in flight end as cancelled
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // The window of a request: prompt and output together.
  int32_t max_context_tokens() const;
  const EngineLimits& limits() const;
  const EmbeddingTraits& embedding() const;

  // Any thread. The sink is owned until after its last delivery; it is called only from the engine
  // thread. Errors, decided at once: kContextLengthExceeded, kMaxInputTokensExceeded,
  // kMaxOutputTokensExceeded, kInvalidValue (empty prompt, ids outside the vocabulary, parameters
  // out of range, a prompt for an encoder, texts for a model without a pooling), kServerOverloaded
  // with retry_after_s (queue full, draining, deadline already past). The sink is destroyed on an
  // error.
  Result<RequestId> submit(Request request, std::unique_ptr<EventSink> sink);
  // Any thread; unknown ids are ignored. A cancelled request leaves the batch before the next step
  // and gets a last delivery with FinishReason::kCancelled.
  void cancel(RequestId id);
  // Any thread. A paused request keeps its pages but is not advanced: its reader is too slow.
  void pause(RequestId id);
  void resume(RequestId id);
  // Any thread. Nothing computed before the engine takes this in, before its next step, is found by
  // a request after it. What runs goes on.
  void flush_cache();

  // Any thread.
  EngineStats stats() const;
  // Any thread but the engine's. Borrowed until the next call; after that returns, the earlier
  // observer is called no more. nullptr: nobody.
  void observe(StepObserver* observer);

  // Runs steps on an own thread until stop().
  void start();
  // No new requests from now on; those in flight go on.
  void drain();
  bool idle() const;  // every request that was submitted is over
  // Ends the thread after the running step; what is unfinished gets kCancelled. Called by the
  // destructor.
  void stop();

  // For tests and callers without a thread: takes in what was submitted and runs one step. False:
  // nothing to do. Must not be called while the thread runs.
  bool step();
  // Invariants of engine/invariants.h on the state between steps. Same restriction.
  Status check_invariants() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::engine
