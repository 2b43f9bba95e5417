// Days and times of files, in UTC, and days as numbers for ages. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace weir::ops {

inline constexpr int64_t kDayS = 86'400;

// The first second of "2026-11-30"; nullopt for what is no day.
std::optional<int64_t> unix_of_day(std::string_view day);
// Of "2026-11-30T12:00:00Z".
std::optional<int64_t> unix_of_time(std::string_view time);
std::string day_of(int64_t unix_s);   // "2026-11-30"
std::string time_of(int64_t unix_s);  // "2026-11-30T12:00:00Z"

// Days since 1970-01-01 of "YYYY-MM-DD"; nothing where that is no day of the years 1900 to 2200.
std::optional<int> day_number(std::string_view day);
// The other way.
std::string day_text(int number);
// Now.
int today(const Clock& clock);

}  // namespace weir::ops
