// What became of one attempt at an upstream, and what that says about the endpoint. Values only;
// any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/client.h"

namespace weir::gateway {

enum class AttemptEnd {
  kAnswered,       // a whole answer, of whatever status
  kConnectFailed,  // no such host, refused, unreachable, no TLS, time-out of the connection
  kNoFirstByte,    // time-out before the first byte of the answer
  kCut,            // closed or reset before the answer was whole
  kStalled,        // time-out between two bytes of the answer
  kMalformed,      // no HTTP, no SSE, another content type
  kTooLarge,       // a bound of the answer was passed, as a client can bring about
  kCancelled,      // by the gateway: the client left, another attempt was faster
  kNotTried,       // refused inside the gateway, which sent nothing: a full queue, a stop
};
std::string_view attempt_end_name(AttemptEnd end);  // "no_first_byte"

struct AttemptOutcome {
  AttemptEnd end = AttemptEnd::kAnswered;
  int status = 0;          // of the answer's head; 0: none came
  bool sent = false;       // the upstream may have seen the request
  bool passed_on = false;  // bytes of the answer's body have gone to the client
  // The time-out was that of the client's deadline, not one of the route: a client that gives a
  // millisecond says nothing about the endpoint.
  bool by_deadline = false;
  bool deadline_over = false;  // and nothing of that is left; else it was the attempt's share
  int64_t waited_ms = 0;       // from the start to the first byte or to the end
  std::optional<int64_t> retry_after_ms = {};  // as the upstream asked (http/retry_after.h)
  bool no_retry = false;                       // the upstream said x-should-retry: false
  // A 404 that is no error of the API: there is none at that URL. The file's mistake, which says
  // nothing about the model or the endpoint's health.
  bool no_api = false;
};

// The end that a failure of the HTTP client is. head_seen: on_head was called before it.
AttemptEnd attempt_end_of(const http::Failure& failure, bool head_seen);

// What an outcome says about the endpoint's health.
enum class EndpointSign {
  kGood,  // it works; also where it refuses what the client sent
  kBad,   // it fails: no answer, a 5xx, or it refuses the gateway's own key or account
  kBusy,  // it works and has too much to do: 429, 529, 503 with Retry-After
  kNone,  // nothing: cancelled, not tried, too large, the client's own deadline
};
// hang_ms: a wait for the first byte that is bad whoever ended it.
EndpointSign endpoint_sign(const AttemptOutcome& outcome, int64_t hang_ms);

}  // namespace weir::gateway
