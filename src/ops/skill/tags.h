// The numbers of a text of a page, and the tags that say where they are from: `[source-id]`,
// `[source-id#claim-id]`, `[measured: file]`, `[hypothesis]`.
//
// No number is: what stands in a code span, in the address of a link or in a tag; a date as
// 2026-11-30 or 2026-11; digits in a word that begins with a letter (H100, FP8, v0.33.0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {

struct PageTag {
  enum class Kind : uint8_t { kSourced, kMeasured, kHypothesis } kind;
  std::string id;     // of kSourced the source, of kMeasured the file
  std::string claim;  // of kSourced, or ""
  size_t at = 0;      // where it stands, for the nearest to a number
};

struct PageNumber {
  std::string text;  // "30"
  size_t at = 0;
};

struct PageScan {
  std::vector<PageNumber> numbers;
  std::vector<PageTag> tags;

  // The tag behind the number, else the last before it; nullptr without tags.
  const PageTag* tag_of(const PageNumber& number) const;
};

PageScan scan_text(std::string_view text);

// "sourced", "measured", "hypothesis".
std::string_view tag_name(PageTag::Kind kind);

}  // namespace weir::ops
