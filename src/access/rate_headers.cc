#include "access/rate_headers.h"

#include <fmt/format.h>

namespace weir::access {

std::string rate_duration(int64_t ns) {
  constexpr int64_t kHourS = 3600;
  const int64_t ms = (ns + 999'999) / 1'000'000;
  if (ms < 1000) return fmt::format("{}ms", ms);
  const int64_t s = (ms + 999) / 1000;
  if (s < 60) return fmt::format("{}s", s);
  if (s < kHourS) return fmt::format("{}m{}s", s / 60, s % 60);
  return fmt::format("{}h{}m{}s", s / kHourS, s / 60 % 60, s % 60);
}

void set_rate_headers(http::Headers& headers, std::string_view what, int64_t limit,
                      int64_t remaining, int64_t reset_ns) {
  headers.set(fmt::format("x-ratelimit-limit-{}", what), std::to_string(limit));
  headers.set(fmt::format("x-ratelimit-remaining-{}", what), std::to_string(remaining));
  headers.set(fmt::format("x-ratelimit-reset-{}", what), rate_duration(reset_ns));
}

}  // namespace weir::access
