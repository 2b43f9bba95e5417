#include "ops/skill/page.h"

#include <gtest/gtest.h>

#include <string>

#include "ops/skill/tags.h"

namespace weir::ops {
namespace {

constexpr std::string_view kPage = R"(---
name: x
---
# A title
Read up.
It goes on.

## When to use
- first, with
  a second line
2. numbered
| a | b |
|---|---|
| 1 | 2 |
### Below
text `a
b` end

   ```sh run=server needs="a GPU host" last
   echo 1
     indented
   ```
## Next
~~~json
{"a": "```"}
~~~
)";

TEST(Page, HasItsPartsWithTheirLines) {
  const auto page = read_page(kPage, "p.md");
  ASSERT_TRUE(page.ok()) << page.error().message;
  EXPECT_EQ(page->front_matter, "name: x\n");
  EXPECT_EQ(page->title, "A title");
  EXPECT_EQ(page->title_line, 4);
  ASSERT_EQ(page->sections.size(), 3U);
  EXPECT_EQ(page->sections[1].title, "When to use");
  EXPECT_EQ(page->sections[1].line, 8);
  ASSERT_EQ(page->texts.size(), 7U);
  EXPECT_EQ(page->texts[0].text, "Read up. It goes on.");
  EXPECT_EQ(page->texts[0].section, 0U);
  EXPECT_EQ(page->texts[1].text, "first, with a second line");
  EXPECT_EQ(page->texts[1].kind, PageText::Kind::kItem);
  EXPECT_EQ(page->texts[2].text, "numbered");
  EXPECT_EQ(page->texts[2].kind, PageText::Kind::kNumbered);
  EXPECT_EQ(page->texts[3].kind, PageText::Kind::kRow);
  EXPECT_EQ(page->texts[4].text, "| 1 | 2 |");
  EXPECT_EQ(page->texts[4].line, 14);
  EXPECT_EQ(page->texts[5].kind, PageText::Kind::kHeading);
  EXPECT_EQ(page->texts[6].text, "text `a b` end");
  ASSERT_EQ(page->blocks.size(), 2U);
  const PageBlock& block = page->blocks[0];
  EXPECT_EQ(block.line, 19);
  EXPECT_EQ(block.language, "sh");
  EXPECT_EQ(block.text, "echo 1\n  indented\n");
  ASSERT_NE(block.word("run"), nullptr);
  EXPECT_EQ(*block.word("run"), "server");
  EXPECT_EQ(*block.word("needs"), "a GPU host");
  EXPECT_EQ(*block.word("last"), "");
  EXPECT_EQ(block.word("absent"), nullptr);
  EXPECT_EQ(page->blocks[1].text, "{\"a\": \"```\"}\n");
  EXPECT_EQ(page->blocks[1].section, 2U);
  EXPECT_EQ(page->lines, 26);
}

void refuse(std::string_view text, std::string_view message, const PageLimits& limits = {}) {
  const auto page = read_page(text, "p.md", limits);
  ASSERT_FALSE(page.ok()) << text;
  EXPECT_EQ(page.error().message, message);
}

TEST(Page, NamesTheLineOfWhatIsWrong) {
  refuse("a\n```sh\nx\n", "p.md:2: the block is not closed; end it with ```");
  refuse("---\na: 1\n", "p.md:1: the front matter is not closed; end it with ---");
  refuse("\xff", "p.md:1: not UTF-8; save it as UTF-8");
  refuse("\n```sh needs=\"x\n```\n", "p.md:2: needs=\" has no closing quote");
  PageLimits limits;
  limits.max_bytes = 3;
  refuse("four", "p.md:1: 4 bytes; a page may have 3: split it", limits);
  limits.max_bytes = 100;
  limits.max_parts = 2;
  refuse("- a\n- b\n- c\n", "p.md:2: more than 2 parts; split the page", limits);
}

// Whatever is left of a page is read or refused with a line, and blocks end in whole lines.
TEST(Page, CutAtEveryByte) {
  for (size_t n = 0; n <= kPage.size(); ++n) {
    const auto page = read_page(kPage.substr(0, n), "p.md");
    if (!page.ok()) {
      EXPECT_TRUE(page.error().message.starts_with("p.md:")) << page.error().message;
      continue;
    }
    EXPECT_LE(page->lines, 26);
    for (const PageBlock& block : page->blocks)
      EXPECT_TRUE(block.text.empty() || block.text.ends_with('\n'));
  }
}

std::string numbers(std::string_view text) {
  std::string out;
  for (const PageNumber& n : scan_text(text).numbers) out += n.text + " ";
  return out;
}

TEST(Tags, WhatIsANumber) {
  EXPECT_EQ(numbers("70B on 8 GPUs, 30 %, 2x, 1:3, (4)"), "70B 8 30 2x 1 3 4 ");
  EXPECT_EQ(numbers("H100 FP8 W4A16 P99 Qwen3-235B v0.33.0 llama_2 GPT-4"), "");
  EXPECT_EQ(numbers("on 2026-11-30, in 2026-11; in 2026"), "2026 ");
  EXPECT_EQ(numbers("`8 GPUs` and ``a ` 3`` but ` 5"), "5 ");
  EXPECT_EQ(numbers("[a 3](https://x.y/4) https://x.y/5?6 \xE2\x89\xA5"
                    "7"),
            "3 7 ");
  EXPECT_EQ(numbers("0.33.0 1.5-2 10e"), "0.33.0 1.5-2 10e ");
}

TEST(Tags, ThreeClassesAndWhatIsNone) {
  const PageScan scan = scan_text(
      "2x [vllm-docs#speed] 3 [measured: docs/A.md] 4 [hypothesis] 5 [ ] [x] [Note 6] [a](b) [1]");
  ASSERT_EQ(scan.tags.size(), 3U);
  EXPECT_EQ(scan.tags[0].id, "vllm-docs");
  EXPECT_EQ(scan.tags[0].claim, "speed");
  EXPECT_EQ(scan.tags[1].kind, PageTag::Kind::kMeasured);
  EXPECT_EQ(scan.tags[1].id, "docs/A.md");
  EXPECT_EQ(scan.tags[2].kind, PageTag::Kind::kHypothesis);
  // The tag behind a number, else the last.
  EXPECT_EQ(scan.tag_of(scan.numbers[0])->kind, PageTag::Kind::kSourced);
  EXPECT_EQ(scan.tag_of(scan.numbers[1])->kind, PageTag::Kind::kMeasured);
  EXPECT_EQ(scan.tag_of(scan.numbers[3])->kind, PageTag::Kind::kHypothesis);
  EXPECT_EQ(scan_text("4").tag_of({"4", 0}), nullptr);
}

}  // namespace
}  // namespace weir::ops
