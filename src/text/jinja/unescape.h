// The escapes of Python's string literals.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::text::jinja {

// What stands between the quotes, read. Unknown escapes stay as they are. Errors: kCorrupt for
// incomplete \x, \u and \U and for what \N names.
Result<std::string> unescape(std::string_view s);

}  // namespace weir::text::jinja
