// Windows of time that quotas count in, and days as numbers. UTC, Gregorian. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::gateway {

// kMinute slides: any 60 s. kDay and kMonth are those of the calendar in UTC.
enum class QuotaWindow : uint8_t { kMinute, kDay, kMonth };
std::string_view quota_window_name(QuotaWindow window);  // "minute"

// A window counts in buckets: of a second (kMinute), a day or a month, numbered from 1970 on. A
// minute is 61 of them, the present one included, as many as any 60 s touch; one of its seconds
// leaves it 60 s after what was taken last in it. So in no 60 s more is taken than the limit, and
// nobody waits for longer; the price is that an amount is held for up to a second more.
struct WindowPlace {
  int64_t bucket = 0;  // of the present
  int64_t first = 0;   // buckets before it have left the window
};
WindowPlace window_at(QuotaWindow window, int64_t unix_ms);
// When what lies in `bucket`, of a minute last taken at last_ms, has left the window, unix ms.
int64_t bucket_leaves_ms(QuotaWindow window, int64_t bucket, int64_t last_ms);
// The latest time at which something can have been taken in a bucket of a second.
int64_t second_ends_ms(int64_t bucket);

// Days since 1970-01-01 of "2026-11-30"; nothing for what is no day of 1970 to 2200.
std::optional<int32_t> day_number_of(std::string_view day);
std::string day_text_of(int32_t number);  // "2026-11-30"

}  // namespace weir::gateway
