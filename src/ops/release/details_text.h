// The details of a row of the audit log for people.
#pragma once

#include <string>
#include <string_view>

namespace weir::ops {

// "from stage, name first, files 12": the members of a JSON object, those of inner ones behind
// their names, hashes by their first digits, lists with commas. Empty values are left out; what is
// no object is taken as it is. One line.
std::string details_text(std::string_view json);

}  // namespace weir::ops
