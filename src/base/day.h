// Days as people and files write them: YYYY-MM-DD, UTC.
#pragma once

#include <cstdint>
#include <string>

namespace weir {

std::string utc_day(int64_t unix_s);

}  // namespace weir
