#include "ops/plan/engine_load.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "base/rng.h"
#include "engine/engine.h"

namespace weir::ops {
namespace {

constexpr double kNsPerMs = 1e6;
constexpr double kNsPerS = 1e9;
// So long that no step is cut short by it: the simulation has no such bound.
constexpr double kNoItlBoundMs = 1e9;
constexpr int64_t kLongestSleepNs = 2'000'000;

// What became of one request.
struct Watched {
  int64_t submitted_ns = 0, last_ns = 0;
  int32_t tokens = 0;
  bool done = false;
  std::string problem;
};

class Watcher final : public engine::EventSink {
 public:
  Watcher(Watched& request, float& ttft_ms, EngineLoadResult& result, const Clock& clock)
      : request_(request), ttft_ms_(ttft_ms), result_(result), clock_(clock) {}

  void on_delivery(const engine::Delivery& delivery) override {
    const int64_t now = clock_.now_ns();
    for (const engine::Event& e : delivery.events) {
      if (e.error) request_.problem = e.error->message;
      for (size_t i = 0; i < e.tokens.size(); ++i) {
        if (request_.tokens++ == 0) {
          ttft_ms_ =
              static_cast<float>(static_cast<double>(now - request_.submitted_ns) / kNsPerMs);
        } else {
          result_.gaps.add(static_cast<double>(now - request_.last_ns) / kNsPerMs, 1);
        }
        request_.last_ns = now;
      }
    }
    request_.done = request_.done || delivery.done;
  }

 private:
  Watched& request_;
  float& ttft_ms_;
  EngineLoadResult& result_;
  const Clock& clock_;
};

// What the last step computed, as the simulation counts it.
class WorkCounter final : public engine::StepObserver {
 public:
  void on_step(const engine::EngineStats& /*stats*/, const engine::StepRecord& step) override {
    work_ = {};
    for (const engine::StepRecord::Part& p : step.parts) {
      int64_t& known = known_[p.request];
      if (p.prefill) {
        work_.add_prefill(known, p.tokens);
      } else {
        work_.add_decode(known, p.tokens);
      }
      known += p.tokens;
    }
    any_ = !step.parts.empty();
  }
  // Of the step since the last call; false: it computed nothing.
  bool take(engine::StepWork& work) {
    work = work_;
    return std::exchange(any_, false);
  }

 private:
  std::unordered_map<engine::RequestId, int64_t> known_;
  engine::StepWork work_;
  bool any_ = false;
};

engine::Request request_of(const SimRequest& r, size_t i, int32_t vocabulary, uint64_t seed) {
  engine::Request request;
  request.prompt.resize(static_cast<size_t>(r.prompt_tokens));
  for (size_t k = 0; k < request.prompt.size(); ++k) {
    request.prompt[k] =
        static_cast<int32_t>(random_u64(seed, i, k) % static_cast<uint64_t>(vocabulary));
  }
  request.sampling.temperature = 0;
  request.max_tokens = r.output_tokens;
  request.ignore_eos = true;
  return request;
}

}  // namespace

Result<EngineLoadResult> run_engine_load(engine::LoadedModel& model, const Clock& clock,
                                         std::span<const SimRequest> requests,
                                         const EngineLoadLimits& limits) {
  engine::EngineLimits engine_limits;
  engine_limits.step_tokens = engine_limits.prefill_chunk_tokens = limits.step_tokens;
  engine_limits.max_running = limits.max_running;
  engine_limits.max_queued_requests = static_cast<int32_t>(requests.size()) + 1;
  engine_limits.max_queued_tokens = int64_t{1} << 40;
  engine_limits.fairness = engine::Fairness::kFifo;
  engine_limits.interactive.itl_ms = kNoItlBoundMs;
  engine::PrefixOptions prefix;
  prefix.enabled = false;
  EngineLoadResult result;
  result.ttft_ms.assign(requests.size(), 0);
  std::vector<Watched> watched(requests.size());
  WorkCounter counter;
  engine::Engine engine(model.runner(), model.tokenizer(), clock, engine_limits, prefix);
  engine.observe(&counter);
  const auto vocabulary = static_cast<int32_t>(model.config().vocab_size);
  const int64_t begin_ns = clock.now_ns();
  const double first_s = requests.empty() ? 0 : requests.front().arrival_s;
  const auto due_ns = [&](size_t i) {
    return begin_ns + static_cast<int64_t>((requests[i].arrival_s - first_s) * kNsPerS);
  };
  size_t next = 0;
  while (next < requests.size() || !engine.idle()) {
    for (; next < requests.size() && due_ns(next) <= clock.now_ns(); ++next) {
      watched[next].submitted_ns = due_ns(next);
      auto sink = std::make_unique<Watcher>(watched[next], result.ttft_ms[next], result, clock);
      WEIR_ASSIGN([[maybe_unused]] const engine::RequestId id,
                  engine.submit(request_of(requests[next], next, vocabulary, limits.seed),
                                std::move(sink)));
    }
    const int64_t start = clock.now_ns();
    if (engine.step()) {
      engine::StepWork work;
      const double ms = static_cast<double>(clock.now_ns() - start) / kNsPerMs;
      if (counter.take(work)) result.steps.push_back({work, ms});
    } else if (next < requests.size()) {
      const int64_t wait = std::clamp<int64_t>(due_ns(next) - clock.now_ns(), 0, kLongestSleepNs);
      std::this_thread::sleep_for(std::chrono::nanoseconds(wait));
    }
  }
  engine.observe(nullptr);
  int64_t last_ns = begin_ns;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!watched[i].done || watched[i].tokens != requests[i].output_tokens) {
      return make_error(ErrorCode::kInternal, "request {} got {} of {} tokens{}{}", i,
                        watched[i].tokens, requests[i].output_tokens,
                        watched[i].problem.empty() ? "" : ": ", watched[i].problem);
    }
    last_ns = std::max(last_ns, watched[i].last_ns);
    result.output_tokens += watched[i].tokens;
  }
  result.span_s = static_cast<double>(last_ns - begin_ns) / kNsPerS;
  return result;
}

}  // namespace weir::ops
