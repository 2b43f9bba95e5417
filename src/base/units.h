// Units of time, for whoever counts in them: so far the gateway.
#pragma once

#include <cstdint>

namespace weir {

inline constexpr int64_t kNsPerMs = 1'000'000;

}  // namespace weir
