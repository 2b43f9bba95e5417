#include "ops/sources/days.h"

#include <fmt/format.h>

#include <chrono>

namespace weir::ops {
namespace {

namespace ch = std::chrono;

// Ages are asked of days of this time.
constexpr std::string_view kFirstDay = "1900-01-01", kLastDay = "2200-12-31";

// Digits at [at, at + count) as a number.
std::optional<int> digits(std::string_view text, size_t at, size_t count) {
  int value = 0;
  if (text.size() < at + count) return std::nullopt;
  const char* begin = text.data() + at;
  for (size_t i = 0; i < count; ++i) {
    if (begin[i] < '0' || begin[i] > '9') return std::nullopt;
    value = value * 10 + (begin[i] - '0');
  }
  return value;
}

ch::year_month_day date_of(int64_t unix_s) {
  return ch::year_month_day(ch::floor<ch::days>(ch::sys_seconds(ch::seconds(unix_s))));
}

}  // namespace

std::optional<int64_t> unix_of_day(std::string_view day) {
  const auto y = digits(day, 0, 4);
  const auto m = digits(day, 5, 2);
  const auto d = digits(day, 8, 2);
  if (day.size() != 10 || day[4] != '-' || day[7] != '-' || !y || !m || !d) return std::nullopt;
  const ch::year_month_day date(ch::year(*y), ch::month(static_cast<unsigned>(*m)),
                                ch::day(static_cast<unsigned>(*d)));
  if (!date.ok()) return std::nullopt;
  return ch::sys_seconds(ch::sys_days(date)).time_since_epoch().count();
}

std::optional<int64_t> unix_of_time(std::string_view time) {
  if (time.size() != 20 || time[10] != 'T' || time[13] != ':' || time[16] != ':' || time[19] != 'Z')
    return std::nullopt;
  const auto day = unix_of_day(time.substr(0, 10));
  const auto h = digits(time, 11, 2);
  const auto m = digits(time, 14, 2);
  const auto s = digits(time, 17, 2);
  if (!day || !h || !m || !s || *h > 23 || *m > 59 || *s > 60) return std::nullopt;
  return *day + int64_t{*h} * 3600 + *m * 60 + *s;
}

std::string day_of(int64_t unix_s) {
  const ch::year_month_day date = date_of(unix_s);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::string time_of(int64_t unix_s) {
  const int64_t of_day = ((unix_s % kDayS) + kDayS) % kDayS;
  return fmt::format("{}T{:02}:{:02}:{:02}Z", day_of(unix_s), of_day / 3600, of_day / 60 % 60,
                     of_day % 60);
}

std::optional<int> day_number(std::string_view day) {
  const auto unix_s = unix_of_day(day);
  // Days of four digits are in order as their texts are.
  if (!unix_s || day < kFirstDay || day > kLastDay) return std::nullopt;
  return static_cast<int>(*unix_s / kDayS);
}

std::string day_text(int number) { return day_of(number * kDayS); }

int today(const Clock& clock) { return static_cast<int>(clock.unix_s() / kDayS); }

}  // namespace weir::ops
