#include "gateway/state/calendar.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>

namespace weir::gateway {
namespace {

constexpr int64_t kSecondMs = 1000;
constexpr int64_t kDayMs = 86'400 * kSecondMs;
constexpr int64_t kMinuteMs = 60 * kSecondMs;
constexpr int64_t kMinuteBuckets = 61;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

std::chrono::year_month_day date_of(int64_t day) {
  return std::chrono::year_month_day(
      std::chrono::sys_days(std::chrono::days(static_cast<int32_t>(day))));
}

int64_t month_of(const std::chrono::year_month_day& date) {
  return (int{date.year()} - 1970) * int64_t{12} + static_cast<int64_t>(unsigned{date.month()}) - 1;
}

// The first day of a month, as a number.
int64_t month_begins(int64_t month) {
  const auto year = static_cast<int>(1970 + floor_div(month, 12));
  const auto in_year = static_cast<unsigned>(month - floor_div(month, 12) * 12) + 1;
  return std::chrono::sys_days(std::chrono::year(year) / static_cast<int>(in_year) / 1)
      .time_since_epoch()
      .count();
}

}  // namespace

std::string_view quota_window_name(QuotaWindow window) {
  switch (window) {
    case QuotaWindow::kMinute:
      return "minute";
    case QuotaWindow::kDay:
      return "day";
    case QuotaWindow::kMonth:
      return "month";
  }
  return "minute";
}

WindowPlace window_at(QuotaWindow window, int64_t unix_ms) {
  const int64_t day = floor_div(unix_ms, kDayMs);
  switch (window) {
    case QuotaWindow::kMinute: {
      const int64_t second = floor_div(unix_ms, kSecondMs);
      return {second, second - kMinuteBuckets + 1};
    }
    case QuotaWindow::kDay:
      return {day, day};
    case QuotaWindow::kMonth: {
      const int64_t month = month_of(date_of(day));
      return {month, month};
    }
  }
  return {};
}

int64_t second_ends_ms(int64_t bucket) { return (bucket + 1) * kSecondMs; }

int64_t bucket_leaves_ms(QuotaWindow window, int64_t bucket, int64_t last_ms) {
  switch (window) {
    case QuotaWindow::kMinute:
      return last_ms + kMinuteMs;
    case QuotaWindow::kDay:
      return (bucket + 1) * kDayMs;
    case QuotaWindow::kMonth:
      return month_begins(bucket + 1) * kDayMs;
  }
  return 0;
}

std::optional<int32_t> day_number_of(std::string_view day) {
  if (day.size() != 10 || day[4] != '-' || day[7] != '-') return std::nullopt;
  const auto number = [&](size_t at, size_t digits) {
    int value = -1;
    const char* end = day.data() + at + digits;
    const auto [stopped, error] = std::from_chars(day.data() + at, end, value);
    return error == std::errc() && stopped == end && day[at] != '-' ? value : -1;
  };
  const int year = number(0, 4), month = number(5, 2), in_month = number(8, 2);
  if (year < 1970 || year > 2200 || month < 1 || in_month < 1) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(in_month))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

std::string day_text_of(int32_t number) {
  const auto date = date_of(number);
  return fmt::format("{:04}-{:02}-{:02}", int{date.year()}, unsigned{date.month()},
                     unsigned{date.day()});
}

}  // namespace weir::gateway
