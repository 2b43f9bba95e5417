#include "base/day.h"

#include <fmt/format.h>

#include <chrono>

namespace weir {

std::string utc_day(int64_t unix_s) {
  using std::chrono::days;
  const auto day = std::chrono::floor<days>(std::chrono::sys_seconds(std::chrono::seconds(unix_s)));
  const std::chrono::year_month_day d{day};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(d.year()),
                     static_cast<unsigned>(d.month()), static_cast<unsigned>(d.day()));
}

}  // namespace weir
