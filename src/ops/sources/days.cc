#include "ops/sources/days.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>

namespace weir::ops {

std::optional<int> day_number(std::string_view day) {
  if (day.size() != 10 || day[4] != '-' || day[7] != '-') return std::nullopt;
  const auto number = [&](size_t at, size_t n) {
    int out = -1;
    const char* end = day.data() + at + n;
    return day[at] >= '0' && std::from_chars(day.data() + at, end, out).ptr == end ? out : -1;
  };
  const int year = number(0, 4), month = number(5, 2), date = number(8, 2);
  if (year < 1900 || year > 2200 || month < 1 || date < 1) return std::nullopt;
  const std::chrono::year_month_day found{std::chrono::year{year},
                                          std::chrono::month{static_cast<unsigned>(month)},
                                          std::chrono::day{static_cast<unsigned>(date)}};
  if (!found.ok()) return std::nullopt;
  return static_cast<int>(std::chrono::sys_days{found}.time_since_epoch().count());
}

std::string day_text(int number) {
  const std::chrono::year_month_day day{std::chrono::sys_days{std::chrono::days{number}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

int today(const Clock& clock) { return static_cast<int>(clock.unix_s() / 86'400); }

}  // namespace weir::ops
