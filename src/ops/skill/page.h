// A page of the skill pack: Markdown with headings, paragraphs, lists, tables and fenced blocks.
// The text may be hostile: its size and the number of its parts are bounded, and it is read in one
// pass. What CommonMark has beyond that (quotes, HTML, nested structure) is text here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// A fenced block, by its info string `LANGUAGE word name=value name="a value"`.
struct PageBlock {
  int line = 0;  // of the opening fence, from 1
  size_t section = 0;
  std::string language;
  std::vector<std::pair<std::string, std::string>> words;  // a word alone has an empty value
  std::string text;  // with a line end after each line, without the fence's indentation

  // nullptr when absent.
  const std::string* word(std::string_view name) const;
};

// What reads as one: a paragraph, a list item with the lines that go on, a row of a table.
struct PageText {
  enum class Kind : uint8_t { kParagraph, kItem, kNumbered, kRow, kHeading } kind;
  int line = 0;
  size_t section = 0;  // index into sections; 0 is what stands before the first
  std::string text;    // without bullets and ordinals, lines joined by a space
};

struct PageSection {
  std::string title;  // of `## title`; of the first "" : what stands above
  int line = 0;
};

struct Page {
  std::string name;          // as given
  std::string front_matter;  // between two lines `---` at the beginning, or ""
  std::string title;         // of `# title`
  int title_line = 0;
  int lines = 0;
  std::vector<PageSection> sections;  // at least one
  std::vector<PageText> texts;
  std::vector<PageBlock> blocks;
};

struct PageLimits {
  size_t max_bytes = 256U << 10U;
  size_t max_parts = 5000;  // sections, texts and blocks
};

// Errors "NAME:LINE: ...": kLimit names the bound, kCorrupt for a block or a front matter that is
// not closed, an info string that cannot be read, bytes that are no UTF-8.
Result<Page> read_page(std::string_view text, std::string_view name, const PageLimits& limits = {});

}  // namespace weir::ops
