// The table of what is sent again, when, and why not.
#include "gateway/resilience/retry_policy.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

AttemptOutcome answered(int status) {
  return {.end = AttemptEnd::kAnswered, .status = status, .sent = true};
}
AttemptOutcome broken(AttemptEnd end, bool sent = true, bool passed_on = false) {
  return {.end = end, .sent = sent, .passed_on = passed_on};
}

std::string decide(const AttemptOutcome& outcome, const RetryCase& request = {},
                   const RetryConfig& config = {}) {
  RetryBudget budget({.ratio = 0.1, .min_per_s = 1});
  const auto d = decide_retry(config, request, outcome, budget);
  EXPECT_EQ(budget.view(0).retries, d.action == RetryAction::kGiveUp ? 0U : 1U);
  const char* what = d.action == RetryAction::kRetry      ? "retry "
                     : d.action == RetryAction::kContinue ? "continue "
                                                          : "give up ";
  return what + std::string(retry_reason_name(d.reason)) + (d.elsewhere ? " elsewhere" : "");
}

TEST(RetryPolicyTest, WhatIsSafe) {
  const RetryCase plain;
  const RetryCase keyed{.idempotency_key = true};
  const RetryCase generation{.generation = true};
  // Nothing was sent: safe whatever the request.
  EXPECT_EQ(decide(broken(AttemptEnd::kConnectFailed, false), plain), "retry retryable");
  for (const AttemptEnd end : {AttemptEnd::kConnectFailed, AttemptEnd::kNoFirstByte,
                               AttemptEnd::kCut, AttemptEnd::kStalled, AttemptEnd::kMalformed}) {
    EXPECT_EQ(decide(broken(end), plain), "give up not_repeatable");
    EXPECT_EQ(decide(broken(end), keyed), "retry retryable");
    EXPECT_EQ(decide(broken(end), generation), "retry retryable");
    EXPECT_EQ(decide(broken(end), generation, {.rerun_generation = false}),
              "give up not_repeatable");
  }
  EXPECT_EQ(decide(broken(AttemptEnd::kCancelled), keyed), "give up client_gone");
  EXPECT_EQ(decide(broken(AttemptEnd::kTooLarge), keyed), "give up too_large");
  EXPECT_EQ(decide(broken(AttemptEnd::kNotTried, false), plain), "give up refused_here");
  EXPECT_EQ(decide(broken(AttemptEnd::kNotTried, false), {.other_endpoint = true}),
            "retry retryable elsewhere");
}

TEST(RetryPolicyTest, Statuses) {
  const RetryCase generation{.generation = true};
  EXPECT_EQ(decide(answered(200)), "give up succeeded");
  for (const int status : {408, 429, 503, 529})
    EXPECT_EQ(decide(answered(status)), "retry retryable");
  for (const int status : {500, 502, 504}) {
    EXPECT_EQ(decide(answered(status)), "give up not_repeatable");
    EXPECT_EQ(decide(answered(status), generation), "retry retryable");
  }
  // No setting makes these be retried.
  RetryConfig all;
  all.statuses.clear();
  for (int s = 400; s < 600; ++s) all.statuses.push_back(s);
  for (int status = 400; status < 500; ++status)
    EXPECT_EQ(decide(answered(status), generation, all),
              status == 408 || status == 429 ? "retry retryable" : "give up status")
        << status;
  EXPECT_EQ(decide(answered(500), generation, {.statuses = {503}}), "give up status");
  // 409: the first request with that key is in flight.
  EXPECT_EQ(decide(answered(409), {.idempotency_key = true}, {.retry_conflict = true}),
            "retry retryable");
  EXPECT_EQ(decide(answered(409), generation, {.retry_conflict = true}), "give up status");
  EXPECT_EQ(decide(answered(409), {.idempotency_key = true}), "give up status");
  AttemptOutcome forbidden = answered(429);
  forbidden.no_retry = true;
  EXPECT_EQ(decide(forbidden, generation), "give up upstream_forbids");
}

TEST(RetryPolicyTest, AfterTheFirstByteOnlyContinuation) {
  const auto cut = broken(AttemptEnd::kCut, true, true);
  RetryCase request{.idempotency_key = true, .generation = true, .other_endpoint = true};
  EXPECT_EQ(decide(cut, request), "give up answer_begun");
  const RetryConfig config{.continue_streams = true};
  EXPECT_EQ(decide(cut, request, config), "give up answer_begun");
  request.continuable = true;
  EXPECT_EQ(decide(cut, request, config), "continue continued elsewhere");
  EXPECT_EQ(decide(cut, request), "give up answer_begun");
  // However many attempts came before: it is counted on its own.
  request.attempts = 3;
  EXPECT_EQ(decide(cut, request, config), "continue continued elsewhere");
  // The endpoint that should have gone on was too busy; the next one may have room.
  AttemptOutcome busy = answered(503);
  busy.passed_on = true;
  EXPECT_EQ(decide(busy, request, config), "continue continued elsewhere");
  busy.status = 400;
  EXPECT_EQ(decide(busy, request, config), "give up status");
  request.continuations = 1;
  EXPECT_EQ(decide(cut, request, config), "give up attempts");
  request.continuations = 0;
  request.other_endpoint = false;
  EXPECT_EQ(decide(cut, request, config), "give up answer_begun");
  request.other_endpoint = true;
  request.now_ns = 960 * kMs;
  request.deadline_ns = 1000 * kMs;
  EXPECT_EQ(decide(cut, request, config), "give up deadline");
}

TEST(RetryPolicyTest, AttemptsDeadlineAndBudget) {
  EXPECT_EQ(decide(answered(503), {.attempts = 2}), "retry retryable");
  EXPECT_EQ(decide(answered(503), {.attempts = 3}), "give up attempts");
  EXPECT_EQ(decide(answered(503), {.now_ns = 1, .deadline_ns = 50 * kMs}), "give up deadline");
  RetryBudget empty({.ratio = 0, .min_per_s = 0});
  const auto d = decide_retry({}, {}, answered(503), empty);
  EXPECT_EQ(d.action, RetryAction::kGiveUp);
  EXPECT_EQ(retry_reason_name(d.reason), "budget");
}

TEST(RetryPolicyTest, RetryAfter) {
  RetryBudget budget({.ratio = 0.1, .min_per_s = 1000});
  AttemptOutcome busy = answered(429);
  busy.retry_after_ms = 2000;
  const RetryConfig config{.backoff_ms = 100};
  EXPECT_EQ(decide_retry(config, {.jitter = 0.5}, busy, budget).delay_ms, 2050);
  // Another endpoint did not ask for anything.
  const auto other = decide_retry(config, {.other_endpoint = true, .jitter = 0.5}, busy, budget);
  EXPECT_EQ(other.delay_ms, 50);
  EXPECT_TRUE(other.elsewhere);
  // Too long, and beyond the deadline; until the deadline the jitter is cut.
  busy.retry_after_ms = 10'001;
  EXPECT_EQ(decide(busy), "give up retry_after");
  busy.retry_after_ms = 2000;
  EXPECT_EQ(decide(busy, {.deadline_ns = 2049 * kMs}), "give up deadline");
  EXPECT_EQ(decide_retry(config, {.deadline_ns = 2060 * kMs, .jitter = 0.5}, busy, budget).delay_ms,
            2010);
}

TEST(RetryPolicyTest, TheWaitIsExponentialWithFullJitter) {
  RetryBudget budget({.ratio = 0.1, .min_per_s = 1000});
  const RetryConfig config{.max_attempts = 10, .backoff_ms = 25, .backoff_max_ms = 1000};
  const auto delay = [&](int attempts, double jitter) {
    return decide_retry(config, {.attempts = attempts, .jitter = jitter}, answered(503), budget)
        .delay_ms;
  };
  EXPECT_EQ(delay(1, 0.0), 0);
  EXPECT_EQ(delay(1, 1.0), 25);
  EXPECT_EQ(delay(2, 1.0), 50);
  EXPECT_EQ(delay(4, 0.5), 100);
  EXPECT_EQ(delay(9, 1.0), 1000);
}

// Whatever the case, an attempt after the wait has its least time, and the budget holds.
TEST(RetryPolicyTest, NeverBeyondTheDeadline) {
  Rng rng(7);
  int retries = 0;
  for (int i = 0; i < 20'000; ++i) {
    RetryBudget budget({.ratio = 0, .min_per_s = static_cast<double>(rng.below(2))});
    const RetryConfig config{.max_attempts = static_cast<int32_t>(1 + rng.below(10)),
                             .min_attempt_ms = static_cast<int64_t>(rng.below(200)),
                             .continue_streams = rng.below(2) == 0};
    const RetryCase request{.now_ns = static_cast<int64_t>(rng.below(1'000'000'000)),
                            .deadline_ns = 1 + static_cast<int64_t>(rng.below(4'000'000'000)),
                            .attempts = static_cast<int32_t>(1 + rng.below(10)),
                            .generation = rng.below(2) == 0,
                            .continuable = true,
                            .other_endpoint = rng.below(2) == 0,
                            .jitter = rng.unit()};
    AttemptOutcome outcome{.end = static_cast<AttemptEnd>(rng.below(9)),
                           .status = static_cast<int>(200 + rng.below(400)),
                           .sent = true,
                           .passed_on = rng.below(4) == 0};
    if (rng.below(2) == 0) outcome.retry_after_ms = static_cast<int64_t>(rng.below(3000));
    const auto d = decide_retry(config, request, outcome, budget);
    if (d.action == RetryAction::kGiveUp) continue;
    ++retries;
    ASSERT_GE(d.delay_ms, 0);
    ASSERT_LE(request.now_ns + (d.delay_ms + config.min_attempt_ms) * kMs, request.deadline_ns);
    ASSERT_FALSE(budget.available(request.now_ns));
    ASSERT_EQ(d.action == RetryAction::kContinue, outcome.passed_on);
    ASSERT_NE(outcome.end, AttemptEnd::kCancelled);
  }
  EXPECT_GT(retries, 500);
}

TEST(EndpointSignTest, WhatAnOutcomeSays) {
  constexpr int64_t kHangMs = 10'000;
  const auto of = [](int status) { return endpoint_sign(answered(status), kHangMs); };
  for (const int s : {200, 400, 403, 404, 409, 422, 501, 505})
    EXPECT_EQ(of(s), EndpointSign::kGood);
  for (const int s : {401, 402, 408, 500, 502, 503, 504}) EXPECT_EQ(of(s), EndpointSign::kBad) << s;
  for (const int s : {429, 529}) EXPECT_EQ(of(s), EndpointSign::kBusy) << s;
  AttemptOutcome busy = answered(503);
  busy.retry_after_ms = 0;
  EXPECT_EQ(endpoint_sign(busy, kHangMs), EndpointSign::kBusy);
  for (const AttemptEnd end : {AttemptEnd::kConnectFailed, AttemptEnd::kNoFirstByte,
                               AttemptEnd::kCut, AttemptEnd::kStalled, AttemptEnd::kMalformed})
    EXPECT_EQ(endpoint_sign(broken(end), kHangMs), EndpointSign::kBad);
  for (const AttemptEnd end :
       {AttemptEnd::kTooLarge, AttemptEnd::kCancelled, AttemptEnd::kNotTried})
    EXPECT_EQ(endpoint_sign(broken(end), kHangMs), EndpointSign::kNone);
  // A client's own short deadline takes no endpoint from the others; a long wait does.
  AttemptOutcome late = broken(AttemptEnd::kNoFirstByte);
  late.by_deadline = true;
  late.waited_ms = 9'999;
  EXPECT_EQ(endpoint_sign(late, kHangMs), EndpointSign::kNone);
  late.waited_ms = 10'000;
  EXPECT_EQ(endpoint_sign(late, kHangMs), EndpointSign::kBad);
  // A stream that was under way at the client's deadline, however long.
  late.end = AttemptEnd::kStalled;
  EXPECT_EQ(endpoint_sign(late, kHangMs), EndpointSign::kNone);
}

TEST(AttemptEndTest, FailuresOfTheClient) {
  using http::FailureKind;
  const auto of = [](FailureKind kind, bool sent, bool head) {
    return attempt_end_name(attempt_end_of({.kind = kind, .message = "", .sent = sent}, head));
  };
  EXPECT_EQ(of(FailureKind::kConnect, false, false), "connect_failed");
  EXPECT_EQ(of(FailureKind::kTls, false, false), "connect_failed");
  EXPECT_EQ(of(FailureKind::kTimeout, false, false), "connect_failed");
  EXPECT_EQ(of(FailureKind::kTimeout, true, false), "no_first_byte");
  EXPECT_EQ(of(FailureKind::kTimeout, true, true), "stalled");
  EXPECT_EQ(of(FailureKind::kClosed, true, true), "cut");
  EXPECT_EQ(of(FailureKind::kProtocol, true, false), "malformed");
  EXPECT_EQ(of(FailureKind::kLimit, true, true), "too_large");
  EXPECT_EQ(of(FailureKind::kTooMany, false, false), "not_tried");
  EXPECT_EQ(of(FailureKind::kCancelled, true, true), "cancelled");
  EXPECT_EQ(of(FailureKind::kStopped, true, true), "not_tried");
}

}  // namespace
}  // namespace weir::gateway
