// The ids of a file's items, each once, and no more of them than a file may have. Internal to ops/.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "ops/eval/line_reader.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"

namespace weir::ops {

class ItemIds {
 public:
  // id: of the item in the line that was read last; member: what the file calls it, for errors.
  Status add(const LineReader& lines, std::string_view member, const std::string& id) {
    if (ids_.size() >= SuiteLimits::kItems) {
      return make_error(ErrorCode::kLimit, "{}: more than {} items", lines.name(),
                        SuiteLimits::kItems);
    }
    if (id.size() > EvalLimits::kNameBytes) {
      return lines.wrong(fmt::format("the {} has {} bytes, more than {}", member, id.size(),
                                     EvalLimits::kNameBytes));
    }
    if (ids_.insert(id).second) return {};
    return lines.wrong(fmt::format("the {} {} stands twice", member, text::json_quote(id)));
  }

 private:
  std::set<std::string> ids_;
};

}  // namespace weir::ops
