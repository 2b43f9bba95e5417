#include "text/chars.h"

#include <utf8proc.h>

#include "text/utf8.h"

namespace weir::text {
namespace {

uint16_t classify(uint32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kLetter | kUpper;
    case UTF8PROC_CATEGORY_LL:
      return kLetter | kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunct;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return kSpace;
    default:
      // White_Space among the control characters.
      if (c == '\r' || c == '\n') return kSpace | kNewline;
      return (c >= 0x09 && c <= 0x0D) || c == 0x85 ? kSpace : 0;
  }
}

}  // namespace

uint16_t char_class(uint32_t codepoint) { return classify(codepoint); }

uint32_t lower_case(uint32_t codepoint) {
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(codepoint)));
}

void Chars::assign(std::string_view text) {
  codepoint.clear();
  classes.clear();
  offset.clear();
  codepoint.reserve(text.size());
  classes.reserve(text.size());
  offset.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    codepoint.push_back(c.codepoint);
    classes.push_back(classify(c.codepoint));
    offset.push_back(static_cast<uint32_t>(at));
    at += c.length;
  }
  offset.push_back(static_cast<uint32_t>(text.size()));
}

}  // namespace weir::text
