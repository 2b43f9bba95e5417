// Units that more than one layer counts in.
#pragma once

#include <cstdint>

namespace weir {

inline constexpr int64_t kNsPerMs = 1'000'000;

}  // namespace weir
