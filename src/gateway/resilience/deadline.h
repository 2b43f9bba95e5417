// How much time a request has: what the client says, what the route allows, what an attempt may
// take, and what the upstream is told. Pure: time is passed in.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "http/client.h"
#include "http/message.h"

namespace weir::gateway {

// A longer deadline is refused: a day, as `weir serve`.
inline constexpr int64_t kLongestDeadlineMs = 86'400'000;

// Of the route, 0: none. As http::ClientTimeouts.
struct RouteTimeouts {
  int64_t connect_ms = 2'000;
  int64_t first_byte_ms = 60'000;  // of an attempt; without a stream: the whole answer
  int64_t idle_ms = 60'000;        // between two reads of an answer
  int64_t total_ms = 600'000;      // of the request with all its attempts
};

// The time that the client gives the request, in milliseconds, or nothing: the shortest of
//   x-weir-deadline-ms              milliseconds; malformed or out of 1 .. a day: an error
//   x-envoy-expected-rq-timeout-ms  milliseconds, from an Envoy in front
//   x-portkey-request-timeout       milliseconds, Portkey's clients
//   x-litellm-timeout               seconds, LiteLLM's clients
// The last three are others' contracts: malformed or out of range they are ignored.
// x-request-timeout is none of them: it means seconds to some and milliseconds to others.
Result<std::optional<int64_t>> client_deadline_ms(const http::Headers& headers);

// True of each header above, of x-litellm-stream-timeout, and of x-envoy-upstream-rq-timeout-ms:
// they are for this hop and are not passed on; the gateway writes the remaining time itself.
bool is_deadline_header(std::string_view name);

struct Deadline {
  int64_t at_ns = 0;  // 0: none
  // Where the client's own is the shorter one, or the only one; 0: it is not.
  int64_t client_ms = 0;

  bool of_client() const { return client_ms > 0; }
  bool passed(int64_t now_ns) const { return at_ns != 0 && now_ns >= at_ns; }
};
// The earlier of the client's and the route's total, from when the request had arrived.
Deadline request_deadline(std::optional<int64_t> client_ms, const RouteTimeouts& route,
                          int64_t received_ns);

// The value for x-weir-deadline-ms to the upstream: what is left, at least 1. 0: there is none.
int64_t remaining_ms(const Deadline& deadline, int64_t now_ns);

struct AttemptTimeouts {
  http::ClientTimeouts client;
  // The first byte is bounded by the client's deadline, not by the route: for
  // AttemptOutcome::by_deadline when it comes to a time-out before it.
  bool first_byte_by_deadline = false;
  bool total_by_deadline = false;
};
// Of an attempt that begins now. attempts_left: with this one, >= 1. While more are left and the
// answer is a stream, the first byte may take only this attempt's share of the remaining time, half
// of it but at least min_share_ms, so that a hung endpoint leaves time for another; an answer that
// is no stream needs its time whole.
AttemptTimeouts attempt_timeouts(const RouteTimeouts& route, const Deadline& deadline,
                                 int64_t now_ns, int32_t attempts_left, bool stream,
                                 int64_t min_share_ms = 1'000);

}  // namespace weir::gateway
