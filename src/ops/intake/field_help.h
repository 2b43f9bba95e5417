// One line for each field of an intake: what it means, and how it is counted.
#pragma once

#include <string_view>

namespace weir::ops {

// "" for a path that is no field. A test holds that every field has one.
std::string_view field_help(std::string_view path);

}  // namespace weir::ops
