// The filters and tests that templates may name.
#pragma once

#include <string_view>

namespace weir::text::jinja {

bool is_filter(std::string_view name);
bool is_test(std::string_view name);

}  // namespace weir::text::jinja
