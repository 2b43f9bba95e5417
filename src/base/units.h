// Units of time, for whoever counts in them: so far the gateway.
#pragma once

#include <cstdint>

namespace weir {

inline constexpr int64_t kNsPerMs = 1'000'000;
inline constexpr int64_t kNsPerS = 1'000'000'000;
inline constexpr int64_t kMsPerHour = 3'600'000;

}  // namespace weir
