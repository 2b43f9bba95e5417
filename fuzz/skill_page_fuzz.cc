// A page of the skill pack from outside: parts within bounds, numbers and tags within the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/skill/page.h"
#include "ops/skill/tags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto page = read_page(text, "p");
  if (!page.ok()) {
    if (!page.error().message.starts_with("p:")) std::abort();
    return 0;
  }
  if (page->sections.empty() || page->lines < 0) std::abort();
  for (const PageBlock& block : page->blocks) {
    if (block.section >= page->sections.size() || block.line < 1 || block.line > page->lines)
      std::abort();
    if (!block.text.empty() && block.text.back() != '\n') std::abort();
  }
  for (const PageText& part : page->texts) {
    if (part.section >= page->sections.size() || part.line < 1 || part.line > page->lines)
      std::abort();
    const PageScan scan = scan_text(part.text);
    for (const PageNumber& number : scan.numbers) {
      if (number.at + number.text.size() > part.text.size()) std::abort();
      if (scan.tag_of(number) == nullptr && !scan.tags.empty()) std::abort();
    }
  }
  return 0;
}
