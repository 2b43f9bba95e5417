// What a client is told when no upstream gave it an answer.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"

namespace weir::gateway {

// How an attempt at an upstream ended.
enum class AttemptEnd {
  kAnswered,     // whole, of a status that goes to the client
  kConnect,      // no connection
  kTimeout,      // before the first byte, or between two
  kCut,          // closed before the answer was whole
  kMalformed,    // no HTTP, another content type, a broken stream
  kServerError,  // 5xx
  kOverloaded,   // 429 and 503
  kCancelled,    // the client went away, or another attempt won
};
std::string_view attempt_end_name(AttemptEnd end);

// 503 upstream_unavailable, 504 upstream_timeout or 502 upstream_error, in the shape of the API
// (OpenAI's or, where `anthropic`, Anthropic's). Nothing of the upstream's address is said.
// retry_after_s > 0: with Retry-After.
http::Response upstream_failure(AttemptEnd end, int attempts, double retry_after_s, bool anthropic);
// The same as the last event of a stream that has begun.
std::string upstream_failure_event(AttemptEnd end, bool anthropic);

}  // namespace weir::gateway
