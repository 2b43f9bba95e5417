#include "ops/eval/generate.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace weir::ops {
namespace {

struct Running {
  size_t index = 0;
  engine::RequestId id = 0;
  Generated answer;
  std::optional<Error> error;
  bool over = false;
};

class Sink final : public engine::EventSink {
 public:
  explicit Sink(Running& to) : to_(to) {}
  void on_delivery(const engine::Delivery& d) override {
    for (const engine::Event& e : d.events) {
      to_.answer.text += e.text;
      if (e.finish.has_value()) to_.answer.cut = *e.finish == engine::FinishReason::kLength;
      if (e.error.has_value()) to_.error = e.error;
    }
    to_.answer.tokens = d.usage.completion_tokens;
    to_.answer.prompt_tokens = d.usage.prompt_tokens;
    to_.over = d.done;
  }

 private:
  Running& to_;
};

Status check_fits(const engine::Engine& engine, std::span<const GenerateRequest> requests) {
  for (const GenerateRequest& r : requests) {
    const auto all = static_cast<int64_t>(r.prompt.size()) + r.max_tokens;
    if (all <= engine.max_context_tokens()) continue;
    return make_error(ErrorCode::kContextLengthExceeded,
                      "item {}: {} tokens of prompt and max_tokens {} are more than the {} of the "
                      "window: give a larger --ctx, as far as the model goes",
                      r.id, r.prompt.size(), r.max_tokens, engine.max_context_tokens());
  }
  return {};
}

class Crowd {
 public:
  Crowd(engine::Engine& engine, std::span<const GenerateRequest> requests)
      : engine_(engine), requests_(requests) {}
  // Sinks must not outlive what they write to.
  ~Crowd() {
    for (const auto& r : running_) engine_.cancel(r->id);
    while (!running_.empty() && engine_.step()) {
    }
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  Status run(size_t at_once, const GenerateDone& done) {
    while (next_ < requests_.size() || !running_.empty()) {
      while (next_ < requests_.size() && running_.size() < at_once) WEIR_TRY(submit());
      engine_.step();
      for (size_t i = 0; i < running_.size();) {
        if (!running_[i]->over) {
          ++i;
          continue;
        }
        const std::unique_ptr<Running> r = std::move(running_[i]);
        running_.erase(running_.begin() + static_cast<ptrdiff_t>(i));
        if (r->error.has_value()) return in_item(r->index, *r->error);
        WEIR_TRY(done(r->index, r->answer));
      }
    }
    return {};
  }

 private:
  Error in_item(size_t index, const Error& error) const {
    return error.with_context(fmt::format("item {}", requests_[index].id));
  }

  Status submit() {
    const GenerateRequest& from = requests_[next_];
    engine::Request q;
    q.prompt = from.prompt;
    q.max_tokens = from.max_tokens;
    q.stop = from.stop;
    q.sampling.temperature = 0;
    auto r = std::make_unique<Running>();
    r->index = next_++;
    auto id = engine_.submit(std::move(q), std::make_unique<Sink>(*r));
    if (!id.ok()) return in_item(r->index, id.error());
    r->id = *id;
    running_.push_back(std::move(r));
    return {};
  }

  engine::Engine& engine_;
  std::span<const GenerateRequest> requests_;
  size_t next_ = 0;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace

Status generate_all(engine::Engine& engine, std::span<const GenerateRequest> requests,
                    size_t at_once, const GenerateDone& done) {
  WEIR_TRY(check_fits(engine, requests));
  return Crowd(engine, requests).run(std::max<size_t>(1, at_once), done);
}

}  // namespace weir::ops
