// Whether and when a request is sent again. Pure. Any thread.
#pragma once

#include <optional>

namespace weir::ops {

struct RetryPolicy {
  int retries = 5;        // of one request, beside its first try
  double first_s = 0.5;   // before the first one; doubles with each
  double longest_s = 60;  // of a wait; a server that asks for a longer one is given up
};

// What became of a try.
struct TryOutcome {
  int status = 0;                       // 0: no answer
  std::optional<double> retry_after_s;  // as the server asked
  bool hopeless = false;  // without an answer: the deadline has passed, or the bytes are no HTTP
};

// Seconds until the next try after `failed` failed ones (at least 1), or nothing: give up. Tried
// again are 429, 502, 503, 504 and connections that failed: every request is greedy and changes
// nothing, so it may run twice.
std::optional<double> retry_wait_s(const RetryPolicy& policy, int failed,
                                   const TryOutcome& outcome);

}  // namespace weir::ops
