// The JSON that an answer consists of. Any thread.
#pragma once

#include <optional>
#include <string_view>

#include "text/json.h"

namespace weir::ops {

inline constexpr size_t kMaxAnswerValues = 100'000;

// The whole answer but for blanks around it and one ``` fence, as JSON; unset where it is not.
std::optional<text::Json> answer_json(std::string_view answer);

// Without blanks at both ends.
std::string_view trimmed(std::string_view text);

}  // namespace weir::ops
