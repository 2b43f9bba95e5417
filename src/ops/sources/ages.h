// Ages in words.
#pragma once

#include <string>

namespace weir::ops {

// "1 day", "12 days".
inline std::string days(int n) { return std::to_string(n) + (n == 1 ? " day" : " days"); }

}  // namespace weir::ops
