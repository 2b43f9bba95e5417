// Days of the calendar as numbers, for ages. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace weir::ops {

// Days since 1970-01-01 of "YYYY-MM-DD"; nothing where that is no day of the years 1900 to 2200.
std::optional<int> day_number(std::string_view day);
// The other way.
std::string day_text(int number);
// Now, in UTC.
int today(const Clock& clock);

}  // namespace weir::ops
