#include "http/retry_after.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <string>

namespace weir::http {

namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// A number of digits only, or nothing.
std::optional<int> digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return text.empty() || text.size() > 4 ? std::nullopt : std::optional<int>(value);
}

std::optional<int> month_of(std::string_view name) {
  const auto* at = std::find(kMonths.begin(), kMonths.end(), name);
  if (at == kMonths.end()) return std::nullopt;
  return static_cast<int>(at - kMonths.begin()) + 1;
}

// "08:49:37" as seconds of the day; 60 is a leap second.
std::optional<int> time_of_day(std::string_view text) {
  if (text.size() != 8 || text[2] != ':' || text[5] != ':') return std::nullopt;
  const auto h = digits(text.substr(0, 2));
  const auto m = digits(text.substr(3, 2));
  const auto s = digits(text.substr(6, 2));
  if (!h || !m || !s || *h > 23 || *m > 59 || *s > 60) return std::nullopt;
  return *h * 3600 + *m * 60 + *s;
}

std::optional<int64_t> unix_seconds(std::optional<int> year, std::optional<int> month,
                                    std::optional<int> day, std::optional<int> seconds) {
  if (!year || !month || !day || !seconds) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count() * int64_t{86'400} + *seconds;
}

// "06-Nov-94 08:49:37 GMT", what stands after "Sunday, ".
std::optional<int64_t> rfc850_date(std::string_view text, int64_t now_s) {
  if (text.size() != 22 || text[2] != '-' || text[6] != '-' || text[9] != ' ' ||
      text.substr(18) != " GMT")
    return std::nullopt;
  const auto short_year = digits(text.substr(7, 2));
  if (!short_year) return std::nullopt;
  const auto in = [&](int century) {
    return unix_seconds(century + *short_year, month_of(text.substr(3, 3)),
                        digits(text.substr(0, 2)), time_of_day(text.substr(10, 8)));
  };
  const auto at = in(2000);
  constexpr int64_t kFiftyYearsS = int64_t{50} * 31'556'952;
  return at && *at > now_s + kFiftyYearsS ? in(1900) : at;
}

std::optional<int64_t> as_milliseconds(std::string_view text, double unit_ms) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || stop != end || !std::isfinite(value) || value < 0)
    return std::nullopt;
  return static_cast<int64_t>(std::min(value * unit_ms, static_cast<double>(kLongestRetryAfterMs)));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<int64_t> parse_http_date(std::string_view text, int64_t now_s) {
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  if (text.size() == 29 && text.substr(3, 2) == ", " && text[7] == ' ' && text[11] == ' ' &&
      text[16] == ' ' && text.substr(25) == " GMT")
    return unix_seconds(digits(text.substr(12, 4)), month_of(text.substr(8, 3)),
                        digits(text.substr(5, 2)), time_of_day(text.substr(17, 8)));
  // "Sun Nov  6 08:49:37 1994"
  if (text.size() == 24 && text[3] == ' ' && text[7] == ' ' && text[10] == ' ' && text[19] == ' ')
    return unix_seconds(digits(text.substr(20, 4)), month_of(text.substr(4, 3)),
                        digits(text.substr(text[8] == ' ' ? 9 : 8, text[8] == ' ' ? 1 : 2)),
                        time_of_day(text.substr(11, 8)));
  const size_t comma = text.find(", ");
  if (comma == std::string_view::npos || comma < 6 || comma > 9) return std::nullopt;
  return rfc850_date(text.substr(comma + 2), now_s);
}

std::optional<int64_t> parse_retry_after(std::string_view value, int64_t unix_ms) {
  value = trimmed(value);
  if (const auto ms = as_milliseconds(value, 1000.0)) return ms;
  const auto at_s = parse_http_date(value, unix_ms / 1000);
  if (!at_s) return std::nullopt;
  return std::clamp<int64_t>(*at_s * 1000 - unix_ms, 0, kLongestRetryAfterMs);
}

std::optional<int64_t> retry_after_of(const Headers& headers, int64_t unix_ms) {
  if (const auto value = headers.find("retry-after-ms"))
    if (const auto ms = as_milliseconds(trimmed(*value), 1.0)) return ms;
  const auto value = headers.find("retry-after");
  return value ? parse_retry_after(*value, unix_ms) : std::nullopt;
}

int64_t retry_after_seconds(int64_t wait_ms) {
  return std::max<int64_t>(1, (std::min(wait_ms, kLongestRetryAfterMs) + 999) / 1000);
}

}  // namespace weir::http
