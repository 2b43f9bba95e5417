#include "gateway/resilience/retry_policy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace weir::gateway {

std::string_view retry_reason_name(RetryReason reason) {
  constexpr std::array<std::string_view, 14> kNames = {
      "succeeded", "retryable", "continued",        "client_gone",    "refused_here",
      "too_large", "status",    "upstream_forbids", "not_repeatable", "answer_begun",
      "attempts",  "deadline",  "retry_after",      "budget"};
  return kNames[static_cast<size_t>(reason)];
}

namespace {

RetryDecision give_up(RetryReason reason) {
  return {.action = RetryAction::kGiveUp, .reason = reason};
}

bool retryable_status(const RetryConfig& config, const RetryCase& request, int status) {
  if (status == 409) return config.retry_conflict && request.idempotency_key;
  if (status >= 400 && status < 500 && status != 408 && status != 429) return false;
  return std::find(config.statuses.begin(), config.statuses.end(), status) != config.statuses.end();
}

// The upstream says that it did not do it.
bool refused_undone(const AttemptOutcome& outcome) {
  if (outcome.end != AttemptEnd::kAnswered) return false;
  const int s = outcome.status;
  return s == 408 || s == 409 || s == 429 || s == 503 || s == 529;
}

// Why the request may not be sent again, or kRetryable.
RetryReason repeatable(const RetryConfig& config, const RetryCase& request,
                       const AttemptOutcome& outcome) {
  switch (outcome.end) {
    case AttemptEnd::kCancelled:
      return RetryReason::kClientGone;
    case AttemptEnd::kTooLarge:
      return RetryReason::kTooLarge;
    case AttemptEnd::kNotTried:
      if (!request.other_endpoint) return RetryReason::kRefusedHere;
      break;
    case AttemptEnd::kAnswered:
      if (outcome.status < 400) return RetryReason::kSucceeded;
      if (!retryable_status(config, request, outcome.status)) return RetryReason::kStatus;
      break;
    default:
      break;
  }
  if (outcome.passed_on) return RetryReason::kAnswerBegun;
  if (outcome.no_retry) return RetryReason::kUpstreamForbids;
  const bool safe = !outcome.sent || refused_undone(outcome) || request.idempotency_key ||
                    (request.generation && config.rerun_generation);
  return safe ? RetryReason::kRetryable : RetryReason::kNotRepeatable;
}

int64_t step_ms(const RetryConfig& config, const RetryCase& request) {
  const int doublings = std::clamp(request.attempts - 1, 0, 30);
  const double step = std::min(static_cast<double>(config.backoff_max_ms),
                               std::ldexp(static_cast<double>(config.backoff_ms), doublings));
  return static_cast<int64_t>(step * std::clamp(request.jitter, 0.0, 1.0));
}

// Time for a wait, when the attempt after it still has its least time.
int64_t spare_ms(const RetryConfig& config, const RetryCase& request) {
  if (request.deadline_ns == 0) return std::numeric_limits<int64_t>::max();
  return (request.deadline_ns - request.now_ns) / 1'000'000 - config.min_attempt_ms;
}

RetryDecision take(RetryDecision decision, const RetryCase& request, RetryBudget& budget) {
  return budget.withdraw(request.now_ns) ? decision : give_up(RetryReason::kBudget);
}

RetryDecision decide_continuation(const RetryConfig& config, const RetryCase& request,
                                  RetryBudget& budget) {
  if (!config.continue_streams || !request.continuable || !request.other_endpoint)
    return give_up(RetryReason::kAnswerBegun);
  if (request.continuations >= config.max_continuations) return give_up(RetryReason::kAttempts);
  if (spare_ms(config, request) < 0) return give_up(RetryReason::kDeadline);
  // At once: the client's stream stands still meanwhile.
  return take({.action = RetryAction::kContinue,
               .reason = RetryReason::kContinued,
               .delay_ms = 0,
               .elsewhere = true},
              request, budget);
}

}  // namespace

RetryDecision decide_retry(const RetryConfig& config, const RetryCase& request,
                           const AttemptOutcome& outcome, RetryBudget& budget) {
  const RetryReason why = repeatable(config, request, outcome);
  if (why == RetryReason::kAnswerBegun) return decide_continuation(config, request, budget);
  if (why != RetryReason::kRetryable) return give_up(why);
  if (request.attempts >= config.max_attempts) return give_up(RetryReason::kAttempts);

  const int64_t spare = spare_ms(config, request);
  if (spare < 0) return give_up(RetryReason::kDeadline);
  RetryDecision out{.action = RetryAction::kRetry,
                    .reason = RetryReason::kRetryable,
                    .delay_ms = std::min(step_ms(config, request), spare),
                    .elsewhere = request.other_endpoint};
  if (outcome.retry_after_ms && !request.other_endpoint) {
    if (*outcome.retry_after_ms > config.max_retry_after_ms)
      return give_up(RetryReason::kRetryAfter);
    if (*outcome.retry_after_ms > spare) return give_up(RetryReason::kDeadline);
    // Later by the jitter, so that all who were told the same time do not come at once.
    out.delay_ms = std::min(*outcome.retry_after_ms + step_ms(config, request), spare);
  }
  return take(out, request, budget);
}

}  // namespace weir::gateway
