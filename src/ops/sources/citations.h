// Where sources are cited: in what the program carries, and in pages of Markdown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct Citation {
  std::string where;  // "tree start, node throughput"; "page.md:12"
  std::string id;     // of a source
  std::string claim;  // of it; may be empty
};

// Of the decision trees, actions, rules of weir config check and weir doctor, and prices.
Result<std::vector<Citation>> built_in_citations();

// [source-id] and [source-id, other-id] outside code; what stands in brackets and is a link, has no
// hyphen, or is no word of small letters and digits, is no citation.
std::vector<Citation> page_citations(std::string_view markdown, std::string_view name);
// Of `folder`'s *.md, and of folders in it (1 MiB a page, 2,000 pages). Errors: kNotFound, kIo,
// kLimit.
Result<std::vector<Citation>> folder_citations(const std::string& folder);

}  // namespace weir::ops
