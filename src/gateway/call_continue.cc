// Streams that break off in the middle and go on at another endpoint of the same model: it is sent
// the prompt and the text so far, and the client sees one answer with a comment in it.
#include <utility>

#include "gateway/call.h"
#include "gateway/translate/continuation.h"
#include "gateway/translate/translate.h"
#include "gateway/upstream_error.h"

namespace weir::gateway {

// Of the same release and by the same name: half of an answer by other weights would be nobody's.
Choice Call::choose_same(const TargetConfig& target) {
  std::vector<uint32_t> without = tried_;
  while (true) {
    Choice next = choose(without);
    if (next.endpoint == nullptr ||
        (next.target->release == target.release && next.target->model == target.model))
      return next;
    without.push_back(next.endpoint->index);
  }
}

void Call::go_on(const TargetConfig& at, AttemptOutcome outcome) {
  const StreamObserver& seen = stream_->observer();
  const RetryConfig& config = asked_.model->retry;
  const int64_t most = asked_.incoming.max_output_tokens;
  if (!broke_.has_value()) broke_ = outcome;
  std::string end;
  if (seen.finish_reason() != FinishReason::kNone && stream_->end(end).ok()) {
    if (!end.empty()) sink_->piece(end);
    return over("answered", "", &seen);  // only its last event is missing
  }
  if (config.continue_streams && seen.can_continue() && most > 0 && seen.deltas() >= most) {
    // All of it was there but for the word that it was all.
    TokenUsage usage = seen.usage();
    if (!usage.known) usage = {.known = true, .prompt_tokens = asked_.incoming.input_tokens};
    usage.completion_tokens = seen.deltas();
    if (stream_->end_at_length(usage, end).ok()) {
      sink_->piece(end);
      return over("answered", "", &seen);
    }
  }
  outcome.passed_on = true;  // of this answer, if not of this attempt's
  RetryBudget& budget = proxy_.fleet().pool(at.upstream).budget();
  while (true) {
    Choice next;
    if (config.continue_streams && seen.can_continue()) next = choose_same(at);
    RetryCase c;
    c.now_ns = now_ns();
    c.deadline_ns = asked_.deadline.at_ns;
    c.attempts = attempts_;
    c.continuations = continuations_;
    c.generation = asked_.incoming.generates;
    c.continuable = next.endpoint != nullptr;
    c.other_endpoint = c.continuable;
    const RetryDecision d = decide_retry(config, c, outcome, budget);
    proxy_.instruments().retries.with(retry_reason_name(d.reason)).add();
    if (d.action != RetryAction::kContinue) return break_off();
    if (go_on_at(next)) return;
    budget.give_back(now_ns());
  }
}

// False: not there, for whatever reason; it counts as tried.
bool Call::go_on_at(const Choice& choice) {
  tried_.push_back(choice.endpoint->index);
  const UpstreamConfig& u = *choice.endpoint->upstream;
  auto request = request_for(u, *choice.target);
  if (!request.ok()) return false;
  const StreamObserver& seen = stream_->observer();
  auto body = continue_request(request->body, u.protocol, request->path, u.continue_by, seen.text(),
                               seen.deltas(), request->plan.limits);
  if (!body.ok() || !stream_->resume(u.protocol).ok()) return false;
  request->body = std::move(*body);
  return send(choice, std::move(*request), &stream_);
}

void Call::break_off() {
  sink_->piece(upstream_failure_event(*broke_, asked_.protocol, asked_.deadline));
  over(attempt_end_name(broke_->end), upstream_failure_code(*broke_, 1), &stream_->observer());
}

}  // namespace weir::gateway
