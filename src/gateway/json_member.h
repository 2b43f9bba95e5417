// Members of a JSON object by their place in the text, so that one can be changed and all other
// bytes stay as they were sent.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace weir::gateway {

struct TextSpan {
  size_t begin = 0;
  size_t size = 0;
};

// Where the value of a member of the outermost object stands; nothing when there is none. Keys
// with escapes are not found. Precondition: `json` is valid JSON (text::Json::parse has read it).
std::optional<TextSpan> member_value(std::string_view json, std::string_view key);

// The text with that value replaced, or with the member added at the front; value is JSON. The same
// precondition, and the text is an object.
std::string with_member(std::string_view json, std::string_view key, std::string_view value);

}  // namespace weir::gateway
