// The headers in which OpenAI tells a client of its rate limits, as its own libraries read them.
// https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

namespace weir::access {

// "350ms", "12s", "6m0s", "23h59m1s"; rounded up.
std::string rate_duration(int64_t ns);

// x-ratelimit-{limit,remaining,reset}-WHAT; what: "requests" or "tokens". reset_ns: until nothing
// of the limit is taken, if nothing more is.
void set_rate_headers(http::Headers& headers, std::string_view what, int64_t limit,
                      int64_t remaining, int64_t reset_ns);

}  // namespace weir::access
