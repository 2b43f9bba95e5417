#include "gateway/resilience/attempt.h"

#include <array>
#include <cstddef>

namespace weir::gateway {

std::string_view attempt_end_name(AttemptEnd end) {
  constexpr std::array<std::string_view, 9> kNames = {
      "answered",  "connect_failed", "no_first_byte", "cut",      "stalled",
      "malformed", "too_large",      "cancelled",     "not_tried"};
  return kNames[static_cast<size_t>(end)];
}

AttemptEnd attempt_end_of(const http::Failure& failure, bool head_seen) {
  switch (failure.kind) {
    case http::FailureKind::kConnect:
    case http::FailureKind::kTls:
      return AttemptEnd::kConnectFailed;
    case http::FailureKind::kTimeout:
      if (head_seen) return AttemptEnd::kStalled;
      return failure.sent ? AttemptEnd::kNoFirstByte : AttemptEnd::kConnectFailed;
    case http::FailureKind::kClosed:
      return AttemptEnd::kCut;
    case http::FailureKind::kProtocol:
      return AttemptEnd::kMalformed;
    case http::FailureKind::kLimit:
      return AttemptEnd::kTooLarge;
    case http::FailureKind::kCancelled:
      return AttemptEnd::kCancelled;
    case http::FailureKind::kTooMany:
    case http::FailureKind::kStopped:
      break;
  }
  return AttemptEnd::kNotTried;
}

namespace {

EndpointSign sign_of_status(const AttemptOutcome& outcome) {
  switch (outcome.status) {
    case 429:
    case 529:  // Anthropic's overloaded_error
      return EndpointSign::kBusy;
    case 503:
      return outcome.retry_after_ms ? EndpointSign::kBusy : EndpointSign::kBad;
    case 401:  // the key is the gateway's, never the client's
    case 402:  // and so is the account
    case 408:  // it did not get the request in time
      return EndpointSign::kBad;
    // A client can cause these at will (403: refused content at some providers), so that they must
    // not take an endpoint from the others.
    case 501:
    case 505:
      return EndpointSign::kGood;
    default:
      return outcome.status >= 500 ? EndpointSign::kBad : EndpointSign::kGood;
  }
}

}  // namespace

EndpointSign endpoint_sign(const AttemptOutcome& outcome, int64_t hang_ms) {
  switch (outcome.end) {
    case AttemptEnd::kAnswered:
      return sign_of_status(outcome);
    case AttemptEnd::kTooLarge:
    case AttemptEnd::kCancelled:
    case AttemptEnd::kNotTried:
      return EndpointSign::kNone;
    case AttemptEnd::kStalled:
      // An answer that was coming, for however long.
      return outcome.by_deadline ? EndpointSign::kNone : EndpointSign::kBad;
    case AttemptEnd::kConnectFailed:
    case AttemptEnd::kNoFirstByte:
      if (outcome.by_deadline && outcome.waited_ms < hang_ms) return EndpointSign::kNone;
      return EndpointSign::kBad;
    case AttemptEnd::kCut:
    case AttemptEnd::kMalformed:
      break;
  }
  return EndpointSign::kBad;
}

}  // namespace weir::gateway
