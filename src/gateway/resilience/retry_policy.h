// Whether a request is sent again after an attempt that failed, when, and where. Pure: time and
// randomness are passed in.
//
// Only what is safe is repeated. Before bytes of an answer have gone to the client: what was never
// sent, what the upstream refused without doing it (408, 429, 503, 529), and, for all else,
// requests with an idempotency key and generation where the route allows it (an answer may then be
// computed twice, and paid twice at a hosted upstream). After that: only continuation of a stream.
//
// The wait is exponential with full jitter (a number between 0 and the step), never shorter than
// the upstream's Retry-After when the same endpoint is asked, and never beyond the deadline.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "gateway/resilience/attempt.h"
#include "gateway/resilience/retry_budget.h"

namespace weir::gateway {

struct RetryConfig {
  int32_t max_attempts = 3;             // of one request, the first included; 1 .. 10
  int64_t backoff_ms = 25;              // step before the second attempt; doubles with each
  int64_t backoff_max_ms = 1'000;       // of a step
  int64_t max_retry_after_ms = 10'000;  // an upstream that asks for more is not waited for
  int64_t min_attempt_ms = 50;          // no attempt is begun with less than this to the deadline
  bool rerun_generation = true;         // generation may run twice before its first byte
  bool retry_conflict = false;          // 409 to a request with an idempotency key: still in flight
  bool continue_streams = false;        // resend prompt and text so far
  int32_t max_continuations = 1;        // of one request; 0 .. 5
  // Of 4xx only 408, 409 (see retry_conflict) and 429 have an effect.
  std::vector<int> statuses = {408, 429, 500, 502, 503, 504, 529};
  friend bool operator==(const RetryConfig&, const RetryConfig&) = default;
};

// The request, as it stands after the attempt.
struct RetryCase {
  int64_t now_ns = 0;
  int64_t deadline_ns = 0;  // 0: none
  int32_t attempts = 1;     // made so far
  int32_t continuations = 0;
  bool idempotency_key = false;
  bool generation = false;      // changes nothing at the upstream but what it costs
  bool continuable = false;     // a stream whose text so far is known, the same model elsewhere
  bool other_endpoint = false;  // one that was not tried may be asked now
  double jitter = 0.5;          // uniform in [0, 1)
};

enum class RetryAction { kGiveUp, kRetry, kContinue };

// Each has a name for logs and metrics.
enum class RetryReason {
  kSucceeded,        // nothing to retry
  kRetryable,        // sent again
  kContinued,        // the stream goes on elsewhere
  kClientGone,       // cancelled
  kRefusedHere,      // refused inside the gateway, and there is no other endpoint
  kTooLarge,         // it would be too large again
  kStatus,           // a status that no retry would change
  kUpstreamForbids,  // x-should-retry: false
  kNotRepeatable,    // it may have been done already
  kAnswerBegun,      // bytes have gone to the client and the stream may not be continued
  kAttempts,         // max_attempts or max_continuations
  kDeadline,         // too little time is left
  kRetryAfter,       // the upstream asks for a longer wait than allowed, no other may be asked
  kBudget,           // the pool's retry budget is used up
};
std::string_view retry_reason_name(RetryReason reason);  // "answer_begun"

struct RetryDecision {
  RetryAction action = RetryAction::kGiveUp;
  RetryReason reason = RetryReason::kSucceeded;
  int64_t delay_ms = 0;
  bool elsewhere = false;  // not at the endpoint that failed
};

// Takes from the budget only when the action is not kGiveUp. A retry that is not sent after all
// (the client left meanwhile) is given back by the caller.
RetryDecision decide_retry(const RetryConfig& config, const RetryCase& request,
                           const AttemptOutcome& outcome, RetryBudget& budget);

}  // namespace weir::gateway
