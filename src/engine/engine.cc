#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <utility>

#include "engine/core.h"
#include "engine/inbox.h"

namespace weir::engine {
namespace {

constexpr double kIdleWaitMs = 1000;   // nothing to do: only a message changes that
constexpr double kBlockedWaitMs = 10;  // all that is left is paused: deadlines still pass

// limits: clamped.
int32_t window(const Runner& runner, const EngineLimits& limits) {
  const int64_t cache = int64_t{runner.pages()} * runner.page_tokens();
  int64_t tokens = std::min<int64_t>(runner.max_context_tokens(), cache);
  if (runner.embedding().encoder) tokens = std::min<int64_t>(tokens, limits.step_tokens);
  if (limits.max_context_tokens > 0) tokens = std::min<int64_t>(tokens, limits.max_context_tokens);
  return static_cast<int32_t>(tokens);
}

EngineLimits clamped(EngineLimits limits, const Runner& runner) {
  limits.step_tokens = std::clamp(limits.step_tokens, 1, runner.max_step_tokens());
  limits.prefill_chunk_tokens = std::clamp(limits.prefill_chunk_tokens, 1, limits.step_tokens);
  limits.max_running = std::clamp(limits.max_running, 1, limits.step_tokens);
  return limits;
}

bool in_range(float v, float low, float high) { return v >= low && v <= high; }

Status check_sampling(const SamplingParams& p, int32_t vocab) {
  const auto bad = [](const char* field, const char* bound) {
    return param_error(ErrorCode::kInvalidValue, field, "{} must be {}", field, bound);
  };
  if (!in_range(p.temperature, 0, 100)) return bad("temperature", "between 0 and 100");
  if (!(p.top_p > 0) || p.top_p > 1) return bad("top_p", "above 0 and at most 1");
  if (!in_range(p.min_p, 0, 1)) return bad("min_p", "between 0 and 1");
  if (p.top_k < 0) return bad("top_k", "at least 0");
  if (!(p.repetition_penalty > 0) || p.repetition_penalty > 100)
    return bad("repetition_penalty", "above 0 and at most 100");
  if (!in_range(p.presence_penalty, -100, 100))
    return bad("presence_penalty", "between -100 and 100");
  if (!in_range(p.frequency_penalty, -100, 100))
    return bad("frequency_penalty", "between -100 and 100");
  if (p.logprobs > vocab || p.logprobs > 1024)
    return bad("logprobs", "at most 1024 and the size of the vocabulary");
  for (const auto& [id, bias] : p.logit_bias) {
    if (id < 0 || id >= vocab)
      return param_error(ErrorCode::kInvalidValue, "logit_bias",
                         "token {} is outside the vocabulary of {}", id, vocab);
    if (!std::isfinite(bias)) return bad("logit_bias", "finite");
  }
  return {};
}

}  // namespace

class Engine::Impl {
 public:
  Impl(Runner& runner, const text::Tokenizer& tokenizer, const Clock& clock,
       const EngineLimits& wanted, const PrefixOptions& prefix, const CostModel& costs,
       Runner* draft)
      : limits(clamped(wanted, runner)),
        max_context_tokens(window(runner, limits)),
        trained_context_tokens(runner.max_context_tokens()),
        embedding(runner.embedding()),
        vocab(runner.vocab_size()),
        clock_(clock),
        inbox(limits),
        core_(runner, tokenizer, clock, limits, prefix, inbox, max_context_tokens, costs, draft) {
    publish();
  }

  // ids: the prompt or a text, as `field` of the request.
  Status check_tokens(const std::vector<int32_t>& ids, const std::string& field) const {
    if (ids.empty()) return param_error(ErrorCode::kInvalidValue, field, "{} has no tokens", field);
    for (const int32_t id : ids) {
      if (id < 0 || id >= vocab) {
        return param_error(ErrorCode::kInvalidValue, field,
                           "{}: token {} is outside the vocabulary of {}", field, id, vocab);
      }
    }
    if (limits.max_input_tokens > 0 && std::cmp_greater(ids.size(), limits.max_input_tokens)) {
      return param_error(ErrorCode::kMaxInputTokensExceeded, field,
                         "{} has {} tokens; max_input_tokens is {}", field, ids.size(),
                         limits.max_input_tokens);
    }
    return {};
  }

  // What bounds a text.
  std::string window_text() const {
    if (!embedding.encoder || max_context_tokens == trained_context_tokens)
      return fmt::format("the longest text this model takes here has {}", max_context_tokens);
    return fmt::format("an encoder takes a text in one step, here of at most {} (--step-tokens)",
                       max_context_tokens);
  }

  Status check_texts(const Request& q) const {
    if (embedding.dim == 0 || !embedding.pooling.has_value()) {
      return param_error(ErrorCode::kInvalidValue, "model",
                         "this model's file does not say how a text becomes one vector; start weir "
                         "with --pooling mean or last to decide it");
    }
    if (*embedding.pooling == model::Pooling::kNone) {
      return param_error(ErrorCode::kInvalidValue, "model",
                         "this model's file asks for a vector per token (pooling_type 0); start "
                         "weir with --pooling mean, cls or last for one per text");
    }
    if (std::cmp_greater(q.texts.size(), limits.max_texts)) {
      return param_error(ErrorCode::kInvalidValue, "input",
                         "input has {} texts; at most {} are taken (max_texts)", q.texts.size(),
                         limits.max_texts);
    }
    for (size_t i = 0; i < q.texts.size(); ++i) {
      const std::string field = fmt::format("input[{}]", i);
      WEIR_TRY(check_tokens(q.texts[i], field));
      if (std::cmp_greater(q.texts[i].size(), max_context_tokens)) {
        return param_error(
            ErrorCode::kContextLengthExceeded, field,
            "{} has {} tokens; {}; send less, or have it cut (truncate_prompt_tokens: -1, "
            "weir embed --truncate)",
            field, q.texts[i].size(), window_text());
      }
    }
    if (q.prompt_tokens() > limits.max_text_tokens) {
      return param_error(ErrorCode::kMaxInputTokensExceeded, "input",
                         "the texts have {} tokens together; at most {} are taken "
                         "(max_text_tokens): send fewer at once",
                         q.prompt_tokens(), limits.max_text_tokens);
    }
    return {};
  }

  // Prompt and output fit the window together.
  Status check_window(Request& q) const {
    const auto prompt = static_cast<int64_t>(q.prompt.size());
    if (q.prompt_only) {
      q.max_tokens = q.min_tokens = 0;
      if (prompt > max_context_tokens) {
        return param_error(ErrorCode::kContextLengthExceeded, "prompt",
                           "the prompt has {} tokens; the context holds {}", prompt,
                           max_context_tokens);
      }
    } else if (prompt >= max_context_tokens) {
      return param_error(
          ErrorCode::kContextLengthExceeded, "prompt",
          "the prompt has {} tokens; the context holds {}, and output needs at least "
          "one of them",
          prompt, max_context_tokens);
    }
    if (prompt + q.max_tokens > max_context_tokens) {
      return param_error(
          ErrorCode::kContextLengthExceeded, "prompt",
          "the prompt has {} tokens and {} are asked for; together they must fit the context of {}",
          prompt, q.max_tokens, max_context_tokens);
    }
    return {};
  }

  Status check(Request& q) const {
    if (q.embeds()) return check_texts(q);
    if (embedding.encoder) {
      return param_error(ErrorCode::kInvalidValue, "model",
                         "this model is an encoder: it makes embeddings and generates no text");
    }
    WEIR_TRY(check_tokens(q.prompt, "prompt"));
    const auto prompt = static_cast<int64_t>(q.prompt.size());
    if (limits.max_output_tokens > 0 && q.max_tokens > limits.max_output_tokens) {
      return param_error(ErrorCode::kMaxOutputTokensExceeded, "max_tokens",
                         "max_tokens is {}; max_output_tokens is {}", q.max_tokens,
                         limits.max_output_tokens);
    }
    WEIR_TRY(check_window(q));
    if (q.n < 1 || q.n > limits.max_choices) {
      return param_error(ErrorCode::kInvalidValue, "n", "n is {}; it must be between 1 and {}", q.n,
                         limits.max_choices);
    }
    if (q.max_tokens < 0 || q.min_tokens < 0) {
      return param_error(ErrorCode::kInvalidValue, "max_tokens",
                         "max_tokens and min_tokens must not be negative");
    }
    if (static_cast<int32_t>(q.stop.size()) > limits.max_stops ||
        std::any_of(q.stop.begin(), q.stop.end(), [](const std::string& s) { return s.empty(); })) {
      return param_error(ErrorCode::kInvalidValue, "stop",
                         "stop takes up to {} strings that are not empty", limits.max_stops);
    }
    for (const int32_t id : q.stop_token_ids) {
      if (id < 0 || id >= vocab) {
        return param_error(ErrorCode::kInvalidValue, "stop_token_ids",
                           "token {} is outside the vocabulary of {}", id, vocab);
      }
    }
    WEIR_TRY(check_sampling(q.sampling, vocab));
    if (q.prompt_logprobs > vocab || q.prompt_logprobs > 1024) {
      return param_error(ErrorCode::kInvalidValue, "logprobs",
                         "logprobs must be at most 1024 and the size of the vocabulary");
    }
    if (q.max_tokens == 0 && !q.prompt_only) {
      q.max_tokens = static_cast<int32_t>(max_context_tokens - prompt);
      if (limits.max_output_tokens > 0)
        q.max_tokens = std::min(q.max_tokens, limits.max_output_tokens);
    }
    q.min_tokens = std::min(q.min_tokens, q.max_tokens);
    return {};
  }

  Result<RequestId> submit(Request request, std::unique_ptr<EventSink> sink) {
    WEIR_TRY(check(request));
    const int64_t now = clock_.now_ns();
    if (request.deadline_ns != 0 && now >= request.deadline_ns) {
      Error e =
          make_error(ErrorCode::kServerOverloaded, "the request's deadline has passed already");
      e.bound = "deadline";
      e.retry_after_s = 1;
      return e;
    }
    auto active = std::make_unique<ActiveRequest>();
    active->request = std::move(request);
    active->sink = std::move(sink);
    active->submitted_ns = std::max<int64_t>(now, 1);
    return inbox.submit(std::move(active));
  }

  bool step() {
    const bool worked = core_.step();
    publish();
    MutexLock lock(observer_mutex);
    if (observer == nullptr) return worked;
    for (const RequestRecord& r : core_.recorder().ended_requests()) observer->on_request_end(r);
    if (worked) {
      EngineStats now;
      core_.fill(now);
      observer->on_step(now, core_.recorder().record());
    }
    return worked;
  }

  void loop() {
    while (!stopping.load(std::memory_order_acquire)) {
      if (!step()) inbox.wait(core_.empty() && !core_.busy() ? kIdleWaitMs : kBlockedWaitMs);
    }
    core_.cancel_all();
    core_.keep_prefixes();
    publish();
  }

  void publish() {
    EngineStats now;
    core_.fill(now);
    MutexLock lock(stats_mutex);
    stats = now;
  }

  Status check_invariants() const { return core_.check(); }
  void cancel_all() {
    core_.cancel_all();
    core_.keep_prefixes();
    publish();
  }

  const EngineLimits limits;
  const int32_t max_context_tokens;
  const int32_t trained_context_tokens;
  const EmbeddingTraits embedding;
  const int32_t vocab;

 private:
  const Clock& clock_;

 public:
  Inbox inbox;
  std::thread thread;
  std::atomic<bool> stopping{false};
  mutable Mutex stats_mutex;
  EngineStats stats WEIR_GUARDED_BY(stats_mutex);
  Mutex observer_mutex;
  StepObserver* observer WEIR_GUARDED_BY(observer_mutex) = nullptr;

 private:
  Core core_;  // of the thread that steps
};

Engine::Engine(Runner& runner, const text::Tokenizer& tokenizer, const Clock& clock,
               const EngineLimits& limits, const PrefixOptions& prefix, const CostModel& costs,
               Runner* draft)
    : impl_(std::make_unique<Impl>(runner, tokenizer, clock, limits, prefix, costs, draft)) {}

Engine::~Engine() { stop(); }

int32_t Engine::max_context_tokens() const { return impl_->max_context_tokens; }
const EngineLimits& Engine::limits() const { return impl_->limits; }
const EmbeddingTraits& Engine::embedding() const { return impl_->embedding; }

Result<RequestId> Engine::submit(Request request, std::unique_ptr<EventSink> sink) {
  return impl_->submit(std::move(request), std::move(sink));
}

void Engine::cancel(RequestId id) { impl_->inbox.give({Order::Kind::kCancel, id}); }
void Engine::pause(RequestId id) { impl_->inbox.give({Order::Kind::kPause, id}); }
void Engine::resume(RequestId id) { impl_->inbox.give({Order::Kind::kResume, id}); }

void Engine::flush_cache() { impl_->inbox.give({Order::Kind::kFlushCache, 0}); }

EngineStats Engine::stats() const {
  EngineStats s;
  {
    MutexLock lock(impl_->stats_mutex);
    s = impl_->stats;
  }
  s.queued_requests = impl_->inbox.queued_requests();
  s.queued_tokens = impl_->inbox.queued_tokens();
  return s;
}

void Engine::observe(StepObserver* observer) {
  MutexLock lock(impl_->observer_mutex);
  impl_->observer = observer;
}

bool Engine::idle() const { return impl_->inbox.unfinished_requests() == 0; }

void Engine::start() {
  impl_->thread = std::thread([this] { impl_->loop(); });
}

void Engine::drain() { impl_->inbox.close(); }

void Engine::stop() {
  impl_->inbox.close();
  if (impl_->thread.joinable()) {
    impl_->stopping.store(true, std::memory_order_release);
    impl_->inbox.wake();
    impl_->thread.join();
  } else {
    impl_->cancel_all();
  }
}

bool Engine::step() { return impl_->step(); }
Status Engine::check_invariants() const { return impl_->check_invariants(); }

}  // namespace weir::engine
