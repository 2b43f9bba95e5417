// When a server wants to be asked again: Retry-After in both its forms. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/message.h"

namespace weir::http {

// A longer wait counts as this: a day.
inline constexpr int64_t kLongestRetryAfterMs = 86'400'000;

// Seconds since the Unix epoch of an HTTP date (RFC 9110 section 5.6.7), in any of its three forms:
// "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994". A
// year of two digits is the one in the century that ends 50 years after now_s. The name of the day
// is not compared. Nothing for anything else.
std::optional<int64_t> parse_http_date(std::string_view text, int64_t now_s);

// Milliseconds from unix_ms on: seconds (some servers add a fraction), or an HTTP date, 0 when it
// has passed. At most kLongestRetryAfterMs. Nothing for anything else.
std::optional<int64_t> parse_retry_after(std::string_view value, int64_t unix_ms);

// Of an answer: "retry-after-ms", as OpenAI's clients know it, before "retry-after".
std::optional<int64_t> retry_after_of(const Headers& headers, int64_t unix_ms);

// The value for a client that should wait: whole seconds, rounded up, at least 1.
int64_t retry_after_seconds(int64_t wait_ms);

}  // namespace weir::http
