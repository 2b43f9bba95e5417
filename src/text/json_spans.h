// Parsing that tells where the text has what was read.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::text {

// Bytes of a text.
struct JsonSpan {
  size_t at = 0;
  size_t bytes = 0;
};

// As Json::parse. members: where the text has the values of the outermost object's members, in
// their order.
Result<Json> parse_json(std::string_view text, std::vector<JsonSpan>& members,
                        const JsonLimits& limits = {});

}  // namespace weir::text
